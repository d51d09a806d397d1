"""What an operator does by hand, as jobs: look ahead, send again, send late, test, clean up.

Each is one op whose output carries what it found. All but the test event and the schedule of
``retention_job`` change nothing until ``dry_run`` is set to false.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import dagster as dg

from orchestration.defs.operations import metadata as shown
from orchestration.defs.operations.config import (
    BackfillConfig,
    EraseConfig,
    PreviewConfig,
    ReplayConfig,
    RerouteConfig,
    RetentionConfig,
    SampleConfig,
    as_moment,
)
from orchestration.effective import given_config, settings_table
from orchestration.resources import WarehouseResource
from sync.clock import warehouse_clock
from sync.delivery.endpoints import load_endpoints
from sync.delivery.tools import SendingTools, sending_tools
from sync.domain.event_types import COMPLETIONS, ENROLLMENTS
from sync.errors import SyncError
from sync.ledger.retention import apply_retention
from sync.operations.backfill import backfill as release
from sync.operations.backfill import plan_backfill
from sync.operations.confirmation import require_confirmation
from sync.operations.endpoint_switch import find_endpoint
from sync.operations.erase import erase as carry_out
from sync.operations.erase import plan_erase
from sync.operations.preview import preview as decide
from sync.operations.replay import plan_replay
from sync.operations.replay import replay as request
from sync.operations.reroute import plan_reroute
from sync.operations.reroute import reroute as move
from sync.operations.test_send import Flavour, send_sample
from sync.settings import journal_directory
from sync.warehouse import Warehouse

CONFIRM = "confirm_count:"
"""As the number is written in the launchpad."""
NOTHING = {"result": dg.Out(dg.Nothing)}
TWICE = (
    "Run it once as it is: it says how many match. Then set dry_run: false and confirm_count to "
    "that number."
)


@contextmanager
def refusals() -> Iterator[None]:
    """Errors that an operator can act on, as a failure that begins with their text.

    Trying again would change nothing, so no retry is allowed.
    """
    try:
        yield
    except SyncError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


@contextmanager
def reaching(
    warehouse: WarehouseResource, *, purpose: str
) -> Iterator[tuple[Warehouse, SendingTools]]:
    """A session without a statement of its own, and what is needed to reach endpoints."""
    with (
        warehouse.glance(purpose=purpose) as session,
        sending_tools(os.environ, session.settings) as tools,
    ):
        yield session, tools


@dg.op(out=NOTHING, description="Decide as the next run would, and list what it would send.")
def preview(context: dg.OpExecutionContext, warehouse: WarehouseResource, config: PreviewConfig):
    with refusals(), reaching(warehouse, purpose="preview") as (session, tools):
        found = decide(
            session,
            policy=config.policy(),
            clock=warehouse_clock(session),
            readiness_of=tools.readiness_of,
            sources=(
                (COMPLETIONS, ENROLLMENTS) if config.send_enrollment_events else (COMPLETIONS,)
            ),
            activated_at=as_moment(config.activated_at),
            mass_send_limit=config.mass_send_limit,
        )
    yield _result(context, config, shown.preview(found, limit=config.show))


@dg.op(out=NOTHING, description="Mark webhooks to be sent again: same id, same body.")
def replay(context: dg.OpExecutionContext, warehouse: WarehouseResource, config: ReplayConfig):
    with refusals(), warehouse.session(purpose="replay") as session:
        selection = config.selection()
        plan = plan_replay(session, selection)
        made = None
        if not config.dry_run:
            # Always: the launchpad remembers a "dry_run: false" from the last time.
            require_confirmation(plan.matched, config.confirm_count or None, setting=CONFIRM)
            made = request(
                session,
                selection,
                requested_by=_requested_by(context, config),
                clock=warehouse_clock(session),
                at_most=plan.matched,
                replay_id=context.run_id if plan.matched else None,
            )
    yield _result(context, config, shown.replay(plan, made))


@dg.op(out=NOTHING, description="Send completions from before the activation after all.")
def backfill(context: dg.OpExecutionContext, warehouse: WarehouseResource, config: BackfillConfig):
    with refusals(), warehouse.session(purpose="backfill") as session:
        window = config.window()
        plan = plan_backfill(session, window)
        made = None
        if not config.dry_run:
            made = release(
                session,
                window,
                requested_by=_requested_by(context, config),
                confirmed=config.confirm_count or None,
                setting=CONFIRM,
                clock=warehouse_clock(session),
                backfill_id=context.run_id,
            )
    yield _result(context, config, shown.backfill(plan, made))


@dg.op(out=NOTHING, description="Move messages of a deleted endpoint to the customer's new one.")
def reroute(context: dg.OpExecutionContext, warehouse: WarehouseResource, config: RerouteConfig):
    with refusals(), warehouse.session(purpose="reroute") as session:
        choice = config.choice()
        plan = plan_reroute(session, choice)
        made = None
        if not config.dry_run:
            require_confirmation(plan.matched, config.confirm_count or None, setting=CONFIRM)
            made = move(
                session,
                choice,
                requested_by=_requested_by(context, config),
                clock=warehouse_clock(session),
                at_most=plan.matched,
                reroute_id=context.run_id if plan.matched else None,
            )
    yield _result(context, config, shown.reroute(plan, made))


@dg.op(out=NOTHING, description="Erase one learner from the ledger and the models, for ever.")
def erase(context: dg.OpExecutionContext, warehouse: WarehouseResource, config: EraseConfig):
    with refusals(), warehouse.session(purpose="erase") as session:
        clock = warehouse_clock(session)
        plan = plan_erase(session, config.person_key, clock=clock)
        made = None
        if not config.dry_run:
            require_confirmation(
                plan.found, config.confirm_count or None, setting=CONFIRM, what="rows"
            )
            made = carry_out(
                session,
                config.person_key,
                requested_by=_requested_by(context, config),
                reason=config.reason,
                clock=clock,
                journals=journal_directory(os.environ),
            )
    yield _result(context, config, shown.erase(plan, made))


@dg.op(out=NOTHING, description="Send one signed, marked sample event to an endpoint.")
def test_send(context: dg.OpExecutionContext, warehouse: WarehouseResource, config: SampleConfig):
    with refusals(), reaching(warehouse, purpose="test-send") as (session, tools):
        endpoint = find_endpoint(load_endpoints(session), config.endpoint_id)
        sample = send_sample(
            endpoint,
            poster=tools.transport,
            tokens=tools.tokens,
            keys=tools.secrets.signing_keys(endpoint.endpoint_id),
            clock=warehouse_clock(session),
            flavour=Flavour(config.flavour),
        )
    facts = shown.sample(sample)
    if not sample.has_passed:
        raise dg.Failure(
            f"endpoint {sample.endpoint_id} did not take the test event: {facts['answer']}",
            metadata=facts,
            allow_retries=False,
        )
    yield _result(context, config, facts)


@dg.op(out=NOTHING, description="Empty bodies and excerpts of finished webhooks.")
def retention(
    context: dg.OpExecutionContext, warehouse: WarehouseResource, config: RetentionConfig
):
    with refusals(), warehouse.session(purpose="retention") as session:
        report = apply_retention(
            session,
            clock=warehouse_clock(session),
            days=config.days,
            dry_run=config.dry_run,
        )
    yield _result(context, config, shown.retention(report, is_dry_run=config.dry_run))


def _requested_by(
    context: dg.OpExecutionContext,
    config: ReplayConfig | BackfillConfig | RerouteConfig | EraseConfig,
) -> str:
    return config.requested_by or f"Dagster run {context.run_id}"


def _result(
    context: dg.OpExecutionContext, config: dg.Config, facts: dict[str, Any]
) -> dg.Output[None]:
    """What an op found; the entry ``next`` is the run's one line in the log."""
    if "next" in facts:
        context.log.info(facts["next"].value)
    given = given_config(context.run.run_config, context.op.name)
    return dg.Output(None, metadata=facts | {"settings": settings_table(config, given)})


operator_job = partial(dg.job, executor_def=dg.in_process_executor, tags={"kind": "operations"})
"""One op in this process; no retry, since a refusal stays one."""


@operator_job(
    description=(
        "What the next run would send, to which endpoint, with which learning time, or why not. "
        "Writes nothing."
    )
)
def preview_job():
    preview()


@operator_job(
    description=(
        "One signed sample event to one endpoint; it tells of no learner and enters no table."
    )
)
def test_send_job():
    test_send()


@operator_job(
    description=(
        "Send webhooks again: dead letters, delivered ones, or suppressed ones after all. Same "
        f"id, same body. {TWICE}"
    )
)
def replay_job():
    replay()


@operator_job(
    description=(
        "Send completions from before the activation, which are recorded and were never sent. "
        f"{TWICE}"
    )
)
def backfill_job():
    backfill()


@operator_job(
    description=(
        "Move messages that were tried at an endpoint that was deleted to the customer's new one: "
        f"same id, same body. What was never sent moves by itself. {TWICE}"
    )
)
def reroute_job():
    reroute()


@operator_job(
    description=(
        "Erase one learner from the ledger and from what the models have built, for ever; ids and "
        f"states stay. The learner is named by a key, never by an id. {TWICE}"
    )
)
def erase_job():
    erase()


@operator_job(
    description=(
        "Empty bodies and excerpts of finished webhooks that are old; ids, states and numbers "
        "stay. Its schedule does it daily."
    )
)
def retention_job():
    retention()


retention_daily = dg.ScheduleDefinition(
    name="retention_daily",
    job_name="retention_job",
    cron_schedule="17 3 * * *",
    execution_timezone="UTC",
    run_config={"ops": {"retention": {"config": {"dry_run": False}}}},
    description="Every night: personal data of webhooks finished 90 days ago is emptied.",
)
