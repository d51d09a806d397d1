"""Operator actions as jobs: one for every operation, built from its request.

Each job is one op whose output metadata has the results. A job whose config has ``dry_run`` changes
nothing until that is set to false.
"""

import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from typing import Any

import dagster as dg
from pydantic import Field, create_model

from orchestration.effective import given_config, settings_shown
from orchestration.metadata import table
from orchestration.resources import WarehouseResource
from sync.clock import warehouse_clock
from sync.errors import SyncError
from sync.operations.catalog import OPERATIONS
from sync.operations.operation import (
    FIELD_TYPES,
    Action,
    AuditedAction,
    Change,
    Kind,
    Look,
    Operation,
    Report,
    command_line_of,
    field_type,
    fields_of,
)

NOTHING = {"result": dg.Out(dg.Nothing)}
MOST_SHOWN = 1_000
"""Rows of a table that the UI can still render at once."""
NOT_GIVEN: dict[type, object] = {str: "", int: 0}
"""Value of an optional field that is not filled in. The launchpad's *Scaffold all default config*
omits null fields, which would hide them. No request accepts these values."""
TWICE = (
    "Run it once unchanged: it shows how many match. Then set dry_run: false and confirm_count to "
    "that number."
)


@dg.definitions
def operations() -> dg.Definitions:
    """A job for every operation, and the schedule of the one that must not be forgotten."""
    retention_daily = dg.ScheduleDefinition(
        name="retention_daily",
        job_name="retention_job",
        cron_schedule="17 3 * * *",
        execution_timezone="UTC",
        run_config={"ops": {"retention": {"config": {"dry_run": False}}}},
        description="Nightly: removes personal data from webhooks finished 90 days ago.",
    )
    return dg.Definitions(
        jobs=[operation_job(kind) for kind in OPERATIONS], schedules=[retention_daily]
    )


def operation_job(kind: Kind) -> dg.JobDefinition:
    """The job of an operation: its docstring is the description, its fields are the config."""
    name = kind.name.replace(" ", "_").replace("-", "_")
    config_type = config_of(kind)
    # The UI reads Markdown, in which indented lines are code.
    about = inspect.cleandoc(kind.__doc__ or "")

    @dg.op(name=name, out=NOTHING, description=about)
    def operate(
        context: dg.OpExecutionContext,
        warehouse: WarehouseResource,
        config: config_type,  # pyright: ignore[reportInvalidTypeForm]
    ) -> Iterator[dg.Output[None]]:
        with refusals():
            request = kind.read(given(kind, config))
            report, said = _carry_out(request, warehouse, context.run_id)
        facts = shown(report, said)
        if report.has_failed:
            raise dg.Failure(said, metadata=facts, allow_retries=False)
        if said:
            context.log.info(said)
        settings = settings_shown(config, given_config(context.run.run_config, name))
        yield dg.Output(None, metadata=facts | {"settings": settings})

    @dg.job(
        name=f"{name}_job",
        description=f"{about}\n\n{TWICE}" if issubclass(kind, Change) else about,
        # In this process and without retries, since a refusal is final.
        executor_def=dg.in_process_executor,
        tags={"kind": "operations"},
    )
    def job() -> None:
        operate()

    return job


def _carry_out(
    request: Look | Action | Change, warehouse: WarehouseResource, run_id: str
) -> tuple[Report, str]:
    """The report, and its one-line summary."""
    if isinstance(request, Look):
        report = request.look(warehouse.ready_environ())
        return report, report.outcome
    is_read_only = isinstance(request, Action) and request.is_read_only
    opened = warehouse.metadata_session if is_read_only else warehouse.session
    with opened(purpose=request.name) as session:
        clock = warehouse_clock(session)
        if isinstance(request, AuditedAction):
            request = request.asked_by(f"Dagster run {run_id}")
        if isinstance(request, Action):
            report = request.run(session, clock)
            return report, report.outcome
        plan, done = request.plan(session, clock), None
        if not request.dry_run:
            done = request.apply(
                session,
                clock,
                confirmed=request.confirm_count,
                by=f"Dagster run {run_id}",
                request_id=run_id,
            )
        report = request.report(plan, done)
        return report, report.outcome or _next(request, plan.matched)


def config_of(kind: type[Operation]) -> type[dg.Config]:
    """The fields of an operation as Dagster shows them: enums and times as text, dry by default.

    The request itself validates its input.
    """
    fields: dict[str, Any] = {}
    for name, field in fields_of(kind).items():
        if command_line_of(field).is_only:
            continue
        taken, is_optional = field_type(field)
        taken = taken if taken in FIELD_TYPES else str
        default = field.get_default(call_default_factory=True)
        default = ... if field.is_required() else default
        if name == "dry_run":
            default = True
        elif isinstance(default, Enum):
            default = default.value
        elif is_optional and taken in NOT_GIVEN:
            default = NOT_GIVEN[taken]
        elif is_optional:
            taken = taken | None
        fields[name] = (taken, Field(default, description=field.description))
    return create_model(
        f"{kind.__name__}Config", __base__=dg.Config, __doc__=kind.__doc__, **fields
    )


def given(kind: type[Operation], config: dg.Config) -> dict[str, Any]:
    """The fields that were filled in; a required field always counts."""
    optional = {name for name, field in fields_of(kind).items() if field_type(field)[1]}
    return {
        name: value
        for name, value in config.model_dump(exclude_none=True).items()
        if name not in optional or NOT_GIVEN.get(type(value)) != value
    }


@contextmanager
def refusals() -> Iterator[None]:
    """Errors that an operator can act on, as a failure that starts with their text.

    A retry would change nothing, so none is allowed.
    """
    try:
        yield
    except SyncError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def shown(report: Report, said: str) -> dict[str, Any]:
    """A report as metadata; the entry ``next`` is the summary line in the run's log."""
    facts: dict[str, Any] = {}
    for name, value in report.document.items():
        match value:
            case Enum() | datetime():
                facts[name] = str(value)
            case bool() | int() | float() | str():
                facts[name] = value
            case [str(), *_]:
                facts[name] = ", ".join(value)
    for name, rows in report.tables.items():
        facts[name] = table([dict(row) for row in rows[:MOST_SHOWN]])
    if report.lines:
        facts["notes"] = dg.MetadataValue.md("\n".join(f"- {line}" for line in report.lines))
    # Dagster stores only plain values, and ledger values are enums here.
    facts["as_json"] = dg.MetadataValue.json(json.loads(json.dumps(report.document, default=str)))
    return facts | ({"next": dg.MetadataValue.text(said)} if said else {})


def _next(request: Change, matched: int) -> str:
    if not matched:
        return f"no {request.noun} match; nothing was changed"
    return (
        f"{matched} {request.noun} match; nothing was changed. To change them: dry_run: false, "
        f"confirm_count: {matched}"
    )
