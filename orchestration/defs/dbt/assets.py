"""The dbt models as assets, their tests as checks, in two groups: the number and the deliveries."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets
from dagster_dbt.core.dbt_event_iterator import DbtEventIterator

from orchestration.config import DeliveryModelsConfig, ModelsConfig
from orchestration.defs.dbt.project import artifacts_directory, dbt_project
from orchestration.defs.dbt.translator import TRANSLATOR
from orchestration.resources import WarehouseResource

DELIVERY_TAG = "tag:delivery"
WAREHOUSE_POOL = "warehouse_models"
"""One dbt build at a time: two would write the same incremental tables."""


@dg.definitions
def dbt_models() -> dg.Definitions:
    """Two sets of assets, because the webhooks stand between them."""
    project = dbt_project()

    @dbt_assets(
        name="learning_time_models",
        manifest=project.manifest_path,
        project=project,
        exclude=DELIVERY_TAG,
        dagster_dbt_translator=TRANSLATOR,
        pool=WAREHOUSE_POOL,
    )
    def learning_time_models(
        context: dg.AssetExecutionContext,
        dbt: DbtCliResource,
        warehouse: WarehouseResource,
        config: ModelsConfig,
    ) -> Iterator[Any]:
        yield from _build(
            context,
            dbt,
            warehouse,
            full_refresh=config.full_refresh,
            # A run of a part of the graph drops the exclusion above, and dbt would then run the
            # tests that also read the delivery models, which do not exist before the first run.
            exclude=[DELIVERY_TAG],
            row_counts=config.with_row_counts,
            column_lineage=config.with_column_lineage,
        )

    @dbt_assets(
        name="delivery_models",
        manifest=project.manifest_path,
        project=project,
        select=DELIVERY_TAG,
        dagster_dbt_translator=TRANSLATOR,
        pool=WAREHOUSE_POOL,
    )
    def delivery_models(
        context: dg.AssetExecutionContext,
        dbt: DbtCliResource,
        warehouse: WarehouseResource,
        config: DeliveryModelsConfig,
    ) -> Iterator[Any]:
        yield from _build(
            context,
            dbt,
            warehouse,
            full_refresh=False,
            # They are views: there are no rows of theirs to count.
            row_counts=False,
            column_lineage=config.with_column_lineage,
        )

    return dg.Definitions(assets=[learning_time_models, delivery_models])


class ModelEvents(DbtEventIterator[Any]):
    """Events of a build, with metadata added to models only.

    The parent also asks for the columns of every data test, which have no table: an error with a
    traceback in the run's log for each of them.
    """

    def _attach_metadata(
        self, fn: Callable[[Any, Any], dict[str, Any] | None]
    ) -> DbtEventIterator[Any]:
        def of_models(invocation: Any, event: Any) -> dict[str, Any] | None:
            return fn(invocation, event) if isinstance(event, dg.Output) else None

        return super()._attach_metadata(of_models)


def _build(
    context: dg.AssetExecutionContext,
    dbt: DbtCliResource,
    warehouse: WarehouseResource,
    *,
    full_refresh: bool,
    row_counts: bool,
    column_lineage: bool,
    exclude: Sequence[str] = (),
) -> Iterator[Any]:
    with warehouse.session(purpose="prepare"):
        pass
    # Unit tests prove the SQL on made-up rows: the suite runs them, a scheduled build need not.
    arguments = ["build", "--exclude-resource-type", "unit_test"]
    arguments += ["--full-refresh"] if full_refresh else []
    for one in exclude:
        arguments += ["--exclude", one]
    op_name = context.op_execution_context.op.name
    with artifacts_directory(dbt_project(), context.run.run_id, op_name) as directory:
        invocation = dbt.cli(arguments, context=context, target_path=directory)
        events = ModelEvents(invocation.stream(), dbt_cli_invocation=invocation)
        if column_lineage:
            events = events.fetch_column_metadata()
        if row_counts:
            events = events.fetch_row_counts()
        yield from events
