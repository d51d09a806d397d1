"""An event type from YAML: the asset that records it. All types share build and send.

The attributes are those of ``sync.domain.event_types.EventType``, and the command line reads the
same files.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt.dbt_manifest import validate_manifest
from pydantic import BaseModel

from orchestration.config import DetectionConfig, RecordingConfig
from orchestration.defs.dbt.project import dbt_project
from orchestration.defs.webhooks.assets import GROUP
from orchestration.defs.webhooks.checks import RECORDED_ONCE_KEY, usual_number
from orchestration.defs.webhooks.dry_run import is_dry_run, would_detect
from orchestration.defs.webhooks.jobs import warehouse_tags
from orchestration.defs.webhooks.run_notes import DRY, SEEN, is_done, note
from orchestration.defs.webhooks.steps import detect, or_go_on_below, say_found, settings_of
from orchestration.keys import ENRICHED, WEBHOOKS, record_key
from orchestration.resources import WarehouseResource
from orchestration.teams import Team
from sync.delivery.formats import known_formats, problems_of_formats
from sync.delivery.record import OverLimit
from sync.domain.event_types import COURSE_COMPLETION, EventType, switched_on
from sync.errors import ConfigurationError
from sync.operations.changes import sources_token, watched_with

log = logging.getLogger(__name__)
TEMPLATE = Path(__file__).with_name("webhook_event.yaml")


class WebhookEventScaffolder(dg.Scaffolder):
    """Writes a ``defs.yaml`` with every attribute, named after its folder and disabled."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the file."""
        name = request.target_path.name
        text = TEMPLATE.read_text(encoding="utf-8")
        text = text.replace("TYPE", request.type_name).replace("NAME", name)
        (request.target_path / "defs.yaml").write_text(text, encoding="utf-8")


@dg.scaffold_with(WebhookEventScaffolder)
class WebhookEventComponent(dg.Component):
    """An event type: which rows of a mart become webhooks, in which formats, and for whom."""

    def __init__(self, source: EventType) -> None:
        self.source = source

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The attributes of the YAML."""
        return EventType

    @classmethod
    def load(
        cls,
        attributes: BaseModel | None,
        context: dg.ComponentLoadContext,  # noqa: ARG003
    ) -> "WebhookEventComponent":
        """The component of a file."""
        source = EventType.model_validate(attributes)
        if source.name in switched_on(os.environ):
            source = source.model_copy(update={"enabled": True})
        return cls(source)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Nothing while it is disabled; else the asset that records and, with a schedule, its job.

        Raises:
            ConfigurationError: the file names a mart or a column that does not exist.
        """
        source = self.source
        if not source.enabled:
            return dg.Definitions()
        place = context.path / "defs.yaml"
        manifest = validate_manifest(dbt_project().manifest_path)
        for problem in problems_of_mart(source, manifest):
            raise ConfigurationError(f"{place}: {problem}")
        for problem in problems_of_formats(source, known_formats(os.environ)):
            # A missing operator's file holds its own events and stops no others.
            log.warning("%s: %s", place, problem)
        # Dagster itself adds the file as the link to the code.
        made = dg.Definitions(assets=[record_asset(source)])
        return dg.Definitions.merge(made, on_a_schedule(source)) if source.schedule else made


def problems_of_mart(source: EventType, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Mart and columns in the file that dbt does not know, with the key that names them."""
    project = manifest["metadata"]["project_name"]
    model = manifest["nodes"].get(f"model.{project}.{source.mart}")
    if model is None:
        yield f"mart: {source.mart} is not a dbt model of this project; create it or fix the name"
        return
    there = {name.lower(): one.get("data_type") for name, one in model["columns"].items()}
    columns = {
        **dict.fromkeys(source.fact_names - source.key.renamed().keys(), "facts"),
        **dict.fromkeys(source.key.renamed().values(), "key"),
        source.occurred_at: "occurred_at",
    }
    for column, key in columns.items():
        if column not in there:
            yield (
                f"{key}: {source.mart} describes no column {column}; add it to the model and its "
                "YAML or fix the name"
            )
    times = [name for name, kind in source.facts.items() if kind.endswith("time")]
    for column in dict.fromkeys([source.occurred_at, *times]):
        kind = there.get(column)
        if kind is not None and not kind.lower().startswith("timestamp_ntz"):
            key = "occurred_at" if column == source.occurred_at else "facts"
            yield (f"{key}: {source.mart} has {column} as {kind}; cast it to timestamp_ntz, UTC")


def record_asset(source: EventType) -> dg.AssetsDefinition:
    """The asset that records events of a type that are not in the outbox yet."""
    key, check = record_key(source), usual_number(source)
    config_type = DetectionConfig if source.name == COURSE_COMPLETION else RecordingConfig

    @dg.asset(
        key=key,
        group_name=source.name if source.schedule else GROUP,
        kinds={"snowflake"},
        owners=Team.INTEGRATIONS.owners,
        pool=source.pool,
        deps=[dg.AssetKey(["marts", source.mart])],
        check_specs=[check],
        description=(
            f"{source.plural.capitalize()} recorded in the outbox: found by comparing the mart "
            "with the outbox."
        ),
    )
    def record_events(
        context: dg.AssetExecutionContext,
        warehouse: WarehouseResource,
        config: config_type,  # pyright: ignore[reportInvalidTypeForm]
    ) -> Iterator[dg.MaterializeResult | dg.AssetMaterialization]:
        settings = {"settings": settings_of(context, key, config)}
        if is_dry_run(context):
            note(context, DRY)
            found, facts = would_detect(context, warehouse, source, config)
            say_found(context, source.plural, found, verb="would be recorded")
        else:
            work = partial(detect, context, warehouse, source, config)
            found, facts = yield from or_go_on_below(context, warehouse, key, work)
        yield dg.MaterializeResult(
            metadata=facts | settings,
            check_results=[
                dg.AssetCheckResult(
                    check_name=check.name,
                    passed=not isinstance(found, OverLimit),
                    metadata={"limit": config.mass_send_limit},
                )
            ],
        )

    return record_events


def on_a_schedule(source: EventType) -> dg.Definitions:
    """A job that records the events of one type, then builds and sends what is due; and its
    schedule. A tick with no change since the last run wakes no warehouse."""
    name = f"{source.name}_job"
    job = dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(record_key(source), ENRICHED, WEBHOOKS)
        | dg.AssetSelection.checks(RECORDED_ONCE_KEY),
        executor_def=dg.in_process_executor,
        tags={"dagster/max_retries": "1"} | warehouse_tags(),
        description=f"Detect new {source.plural} and send their webhooks.",
    )

    @dg.schedule(
        name=f"{source.name}_schedule",
        job_name=name,
        cron_schedule=source.schedule,
        execution_timezone="UTC",
        description=(
            f"Records {source.plural} if a replica has changed since the last run. On Snowflake, "
            "the check reads metadata only."
        ),
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, warehouse: WarehouseResource
    ) -> dg.RunRequest | dg.SkipReason:
        with warehouse.metadata_session(purpose="sensor") as session:
            token = sources_token(session, watched_with(source))
        records = context.instance.get_run_records(dg.RunsFilter(job_name=name, tags={SEEN: token}))
        for one in records:
            if is_done(one.dagster_run, [record_key(source)]):
                return dg.SkipReason(f"nothing has changed since run {one.dagster_run.run_id}")
        return dg.RunRequest(tags={SEEN: token})

    return dg.Definitions(jobs=[job], schedules=[schedule])
