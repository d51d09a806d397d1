"""The webhooks as assets: detect, freeze, send. Each reads what the one above wrote."""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from orchestration import metadata
from orchestration.checks import spec
from orchestration.config import DeliveryConfig, DetectionConfig, EnrichmentConfig
from orchestration.dry_run import is_dry_run, would_detect, would_freeze, would_send
from orchestration.effective import given_config, settings_table
from orchestration.keys import ENRICHED, NEW, WEBHOOKS, op_name
from orchestration.resources import WarehouseResource
from sync.clock import warehouse_clock
from sync.detection.completions import Detected, Enqueued, HeldBack, LeftToAnother, enqueue
from sync.detection.event_sources import COMPLETIONS
from sync.enrichment.learning_time import LearningTimeClient
from sync.ledger.attempts import Attempt
from sync.ledger.outbox import Outbox
from sync.messages.freeze import freeze
from sync.operating.watching import Watch, watching
from sync.sending.dispatch import dispatch
from sync.sending.tools import sending_tools
from sync.settings import journal_directory, load_settings

GROUP = "webhooks"
OUTBOX_POOL = "webhook_outbox"
"""Detection runs one at a time: a second one would find the lease taken and record nothing."""
SEND_FRESHNESS = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(minutes=30), fail_window=timedelta(hours=4)
)
"""It runs every five minutes. No check of its own can notice that nothing runs."""
OWNERS = ["team:learning-data"]

MASS_SEND_CHECK = spec("no_unusual_number_of_completions", NEW)


@dg.asset(
    key=NEW,
    group_name=GROUP,
    kinds={"snowflake"},
    owners=OWNERS,
    pool=OUTBOX_POOL,
    deps=[
        dg.AssetKey(["marts", "completed_enrollments"]),
        dg.AssetKey(["marts", "enterprise_enrollments"]),
    ],
    check_specs=[MASS_SEND_CHECK],
    description="Completions that entered the outbox: found by comparing the mart with the outbox.",
)
def newly_completed_enrollments(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, config: DetectionConfig
) -> dg.MaterializeResult:
    """Enqueue what the outbox does not know yet."""
    if is_dry_run(context):
        found, facts = would_detect(context, warehouse, config)
        return _detected(context, config, found, facts, verb="would be recorded")
    with (
        watching("detect", context.run.run_id) as watch,
        warehouse.session(purpose="detect") as session,
    ):
        clock = warehouse_clock(session)
        found = {
            what: enqueue(
                session,
                run_id=context.run.run_id,
                clock=clock,
                source=source,
                activated_at=config.activation() if source is COMPLETIONS else None,
                mass_send_limit=config.mass_send_limit,
                allow_mass_send=config.allow_mass_send,
            )
            for what, source in config.sources().items()
        }
        for what, outcome in found.items():
            watch.detected(what, outcome)
        facts = metadata.detection(session, found["completions"], run_id=context.run.run_id)
    facts |= metadata.enrollment_detection(found.get("enrollments"))
    return _detected(context, config, found, facts, verb="recorded")


def _detected(
    context: dg.AssetExecutionContext,
    config: DetectionConfig,
    found: Mapping[str, Detected],
    facts: Mapping[str, Any],
    *,
    verb: str,
) -> dg.MaterializeResult:
    """Say what was found, and let the check fail where the guard held it back."""
    for what, outcome in found.items():
        match outcome:
            case HeldBack(found=count, limit=limit):
                context.log.error(
                    f"{count} {what} are new, more than mass_send_limit = {limit}: none was "
                    "recorded. If the number is right, run again with allow_mass_send: true"
                )
            case LeftToAnother(run_id=other, until=until):
                context.log.warning(
                    f"run {other} is recording {what}: this run leaves them to it. Were that run "
                    f"killed, its lease ends at {until:%Y-%m-%d %H:%M:%S} UTC"
                )
            case Enqueued(awaiting=awaiting, suppressed=suppressed):
                context.log.info(f"{awaiting} {what} {verb}, {suppressed} older ones suppressed")
    return dg.MaterializeResult(
        metadata={**facts, "settings": _settings(context, NEW, config)},
        check_results=[
            dg.AssetCheckResult(
                check_name=MASS_SEND_CHECK.name,
                passed=not any(isinstance(one, HeldBack) for one in found.values()),
                metadata={"limit": config.mass_send_limit},
            )
        ],
    )


@dg.asset(
    key=ENRICHED,
    group_name=GROUP,
    kinds={"snowflake", "python"},
    owners=OWNERS,
    deps=[
        NEW,
        dg.AssetKey(["marts", "completion_learning_time"]),
        dg.AssetKey(["marts", "webhook_endpoints"]),
    ],
    description=(
        "Messages frozen: endpoint chosen, learning time looked up when the flag is on, body built "
        "once. Every later attempt sends these bytes."
    ),
)
def enriched_completions(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, config: EnrichmentConfig
) -> dg.MaterializeResult:
    """Freeze the messages of recorded completions."""
    settings = {"settings": _settings(context, ENRICHED, config)}
    if is_dry_run(context):
        return dg.MaterializeResult(metadata=would_freeze(context, warehouse) | settings)
    policy = config.policy()
    with (
        watching("freeze", context.run.run_id) as watch,
        warehouse.session(purpose="freeze") as session,
        LearningTimeClient.connect(session.settings) as client,
    ):
        clock = warehouse_clock(session)
        outbox = Outbox(session, clock, context.run.run_id)
        report = freeze(session, outbox, client, policy=policy, clock=clock)
        watch.froze(report)
    for problem, count in sorted(report.problems.items()):
        context.log.warning(f"{count} completions: {problem}")
    context.log.info(metadata.freeze_sentence(report))
    return dg.MaterializeResult(metadata=metadata.freezing(report, policy) | settings)


@dg.asset(
    key=WEBHOOKS,
    group_name=GROUP,
    freshness_policy=SEND_FRESHNESS,
    kinds={"python", "http"},
    owners=OWNERS,
    deps=[ENRICHED],
    description=(
        "Webhooks sent: due ones claimed in batches, signed, posted to each customer's endpoint, "
        "and the results recorded in the ledger."
    ),
)
def completion_webhooks(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, config: DeliveryConfig
) -> dg.MaterializeResult:
    """Send every due webhook."""
    shown = {"settings": _settings(context, WEBHOOKS, config)}
    if is_dry_run(context):
        return dg.MaterializeResult(metadata=would_send(context, warehouse) | shown)
    run_id = context.run.run_id
    with (
        watching("deliver", run_id) as watch,
        warehouse.session(purpose="deliver") as session,
        sending_tools(os.environ, load_settings(os.environ)) as tools,
    ):
        clock = warehouse_clock(session)
        report = dispatch(
            session,
            tools.sender(
                run_id=run_id,
                clock=clock,
                journal_directory=journal_directory(os.environ),
                limits=config.limits(),
            ),
            on_batch=lambda attempts: _say(context, watch, attempts),
        )
        watch.delivered(session, report)
        facts = metadata.delivery(report, states=Outbox(session, clock, run_id).counts()) | shown
    if report.recovered:
        context.log.warning(
            f"{report.recovered} answers were recovered from the journal of a run that died"
        )
    if report.is_own_network_down:
        raise dg.Failure(
            "no endpoint could be reached, so the fault is on this side: nothing was charged to "
            "any customer and the webhooks are tried again by the next run. Check the network of "
            "the machine that delivers",
            metadata=facts,
            allow_retries=False,
        )
    for problem in report.unchecked:
        context.log.warning(problem)
    for endpoint_id in sorted(report.unreadable_retry_after):
        context.log.warning(f"endpoint {endpoint_id} sends a Retry-After header that is no time")
    for endpoint_id, reason in sorted(report.unusable.items()):
        problem = report.problems.get(endpoint_id, "see marts.webhook_endpoints")
        context.log.warning(f"endpoint {endpoint_id} is held ({reason}): {problem}")
    return dg.MaterializeResult(metadata=facts)


def _say(context: dg.AssetExecutionContext, watch: Watch, attempts: Sequence[Attempt]) -> None:
    context.log.info(metadata.batch_sentence(attempts))
    watch.batch(attempts)


def _settings(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    config: DetectionConfig | EnrichmentConfig | DeliveryConfig,
) -> dg.TableMetadataValue:
    given = given_config(context.run.run_config, op_name(key))
    is_made_dry = is_dry_run(context) and not config.dry_run
    return settings_table(config, given, is_made_dry=is_made_dry)
