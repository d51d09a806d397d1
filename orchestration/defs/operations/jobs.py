"""What an operator does by hand, as jobs: one for every operation, made from its request.

Each job is one op whose output carries what it found. A job whose config has ``dry_run`` changes
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
"""Rows of a table that the UI still renders at once."""
NOT_GIVEN: dict[type, object] = {str: "", int: 0}
"""What an optional field holds before it is filled in. The launchpad's *Scaffold all default
config* leaves out what is null, and nobody would see the field. No request takes these values."""
TWICE = (
    "Run it once as it is: it says how many match. Then set dry_run: false and confirm_count to "
    "that number."
)


@dg.definitions
def operations() -> dg.Definitions:
    """A job for every operation, and the schedule of the one that nobody may forget."""
    retention_daily = dg.ScheduleDefinition(
        name="retention_daily",
        job_name="retention_job",
        cron_schedule="17 3 * * *",
        execution_timezone="UTC",
        run_config={"ops": {"retention": {"config": {"dry_run": False}}}},
        description="Every night: personal data of webhooks finished 90 days ago is emptied.",
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
        # In this process; and no retry, since a refusal stays one.
        executor_def=dg.in_process_executor,
        tags={"kind": "operations"},
    )
    def job() -> None:
        operate()

    return job


def _carry_out(
    request: Look | Action | Change, warehouse: WarehouseResource, run_id: str
) -> tuple[Report, str]:
    """What came of it, and that in one line."""
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
    """The fields of an operation as Dagster shows them: enums and times as text, and dry first.

    The request itself checks what it is given.
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
    """The fields that somebody has filled in; a field that is required counts as it stands."""
    optional = {name for name, field in fields_of(kind).items() if field_type(field)[1]}
    return {
        name: value
        for name, value in config.model_dump(exclude_none=True).items()
        if name not in optional or NOT_GIVEN.get(type(value)) != value
    }


@contextmanager
def refusals() -> Iterator[None]:
    """Errors that an operator can act on, as a failure that begins with their text.

    Trying again would change nothing, so no retry is allowed.
    """
    try:
        yield
    except SyncError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def shown(report: Report, said: str) -> dict[str, Any]:
    """A report as metadata; the entry ``next`` is the run's one line in the log."""
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
    # Dagster stores plain values only, and the words of the ledger are enums here.
    facts["as_json"] = dg.MetadataValue.json(json.loads(json.dumps(report.document, default=str)))
    return facts | ({"next": dg.MetadataValue.text(said)} if said else {})


def _next(request: Change, matched: int) -> str:
    if not matched:
        return f"no {request.noun} match; nothing was changed"
    return (
        f"{matched} {request.noun} match; nothing was changed. To change them: dry_run: false, "
        f"confirm_count: {matched}"
    )
