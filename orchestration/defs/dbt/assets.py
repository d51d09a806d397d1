"""The dbt models as assets, their tests as checks."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets
from dagster_dbt.core.dbt_event_iterator import DbtEventIterator

from orchestration.config import ModelsConfig
from orchestration.defs.dbt.project import artifacts_directory, dbt_project
from orchestration.defs.dbt.translator import TRANSLATOR
from orchestration.resources import WarehouseResource

WAREHOUSE_POOL = "warehouse_models"
"""One dbt build at a time: two would write the same incremental tables."""


@dg.definitions
def dbt_models() -> dg.Definitions:
    """Every model and its tests, built together: learning time, and the views of the deliveries.

    The webhooks are between the two in the graph, so a run of everything builds them in two steps.
    """
    project = dbt_project()

    @dbt_assets(
        name="learning_time_models",
        manifest=project.manifest_path,
        project=project,
        dagster_dbt_translator=TRANSLATOR,
        pool=WAREHOUSE_POOL,
    )
    def learning_time_models(
        context: dg.AssetExecutionContext,
        dbt: DbtCliResource,
        warehouse: WarehouseResource,
        config: ModelsConfig,
    ) -> Iterator[Any]:
        with warehouse.session(purpose="prepare"):
            pass
        # Unit tests check the SQL on fixtures: the test suite runs them, a build need not.
        arguments = ["build", "--exclude-resource-type", "unit_test"]
        arguments += ["--full-refresh"] if config.full_refresh else []
        op_name = context.op_execution_context.op.name
        with artifacts_directory(project, context.run.run_id, op_name) as directory:
            invocation = dbt.cli(arguments, context=context, target_path=directory)
            events = ModelEvents(invocation.stream(), dbt_cli_invocation=invocation)
            if config.with_column_lineage:
                events = events.fetch_column_metadata()
            if config.with_row_counts:
                events = events.fetch_row_counts()
            yield from events

    return dg.Definitions(assets=[learning_time_models])


class ModelEvents(DbtEventIterator[Any]):
    """Events of a build, with metadata added to models only.

    The parent also queries the columns of every data test. These have no table, so each would log
    an error with a traceback."""

    def _attach_metadata(
        self, fn: Callable[[Any, Any], dict[str, Any] | None]
    ) -> DbtEventIterator[Any]:
        def of_models(invocation: Any, event: Any) -> dict[str, Any] | None:
            return fn(invocation, event) if isinstance(event, dg.Output) else None

        return super()._attach_metadata(of_models)
