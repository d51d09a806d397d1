"""The webhooks as assets: detect, freeze, send. Each reads what the one above wrote."""

import os

import dagster as dg

from orchestration import metadata
from orchestration.config import DeliveryConfig, DetectionConfig, EnrichmentConfig
from orchestration.resources import WarehouseResource
from sync.clock import warehouse_clock
from sync.completions import Enqueued, HeldBack, enqueue
from sync.dispatch import dispatch
from sync.event_sources import ENROLLMENTS
from sync.freeze import freeze
from sync.learning_time import LearningTimeClient
from sync.network import canary, network_policy
from sync.outbox import Outbox
from sync.resolver import SystemResolver
from sync.secrets import SecretStore
from sync.sender import Sender
from sync.settings import journal_directory, load_settings
from sync.transport import Transport

GROUP = "webhooks"
OUTBOX_POOL = "webhook_outbox"
"""Detection runs one at a time: with no unique key enforced, two could record a row twice."""
OWNERS = ["team:learning-data"]

NEW = dg.AssetKey(["sync", "newly_completed_enrollments"])
ENRICHED = dg.AssetKey(["sync", "enriched_completions"])
WEBHOOKS = dg.AssetKey(["sync", "completion_webhooks"])

MASS_SEND_CHECK = dg.AssetCheckSpec(
    "no_unusual_number_of_completions",
    asset=NEW,
    description=(
        "Fails when more completions are new than mass_send_limit. Nothing was recorded. Look at "
        "marts.completed_enrollments; if the number is right, run again with allow_mass_send."
    ),
)


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
    with warehouse.session(purpose="detect") as session:
        clock = warehouse_clock(session)
        outcome = enqueue(
            session,
            run_id=context.run.run_id,
            clock=clock,
            activated_at=config.activation(),
            mass_send_limit=config.mass_send_limit,
            allow_mass_send=config.allow_mass_send,
        )
        enrollments = (
            enqueue(
                session,
                run_id=context.run.run_id,
                clock=clock,
                source=ENROLLMENTS,
                mass_send_limit=config.mass_send_limit,
                allow_mass_send=config.allow_mass_send,
            )
            if config.send_enrollment_events
            else None
        )
        facts = metadata.detection(session, outcome, run_id=context.run.run_id)
        facts |= metadata.enrollment_detection(enrollments)
    for what, found in (("completions", outcome), ("enrollments", enrollments)):
        match found:
            case HeldBack(found=count, limit=limit):
                context.log.error(
                    f"{count} {what} are new, more than mass_send_limit = {limit}: none was "
                    "recorded. If the number is right, run again with allow_mass_send: true"
                )
            case Enqueued(awaiting=awaiting, suppressed=suppressed):
                context.log.info(f"{awaiting} {what} recorded, {suppressed} older ones suppressed")
            case None:
                pass
    return dg.MaterializeResult(
        metadata=facts,
        check_results=[
            dg.AssetCheckResult(
                check_name=MASS_SEND_CHECK.name,
                passed=not any(isinstance(one, HeldBack) for one in (outcome, enrollments)),
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
    with (
        warehouse.session(purpose="freeze") as session,
        LearningTimeClient.connect(session.settings) as client,
    ):
        clock = warehouse_clock(session)
        outbox = Outbox(session, clock, context.run.run_id)
        report = freeze(session, outbox, client, policy=config.policy(), clock=clock)
    for problem, count in sorted(report.problems.items()):
        context.log.warning(f"{count} completions: {problem}")
    context.log.info(metadata.freeze_sentence(report))
    return dg.MaterializeResult(metadata=metadata.freezing(report, config))


@dg.asset(
    key=WEBHOOKS,
    group_name=GROUP,
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
    run_id = context.run.run_id
    settings = load_settings(os.environ)
    policy = network_policy(os.environ, settings)
    resolver = SystemResolver(canary=canary(settings))
    with (
        warehouse.session(purpose="deliver") as session,
        Transport(policy=policy, resolver=resolver) as transport,
    ):
        clock = warehouse_clock(session)
        report = dispatch(
            session,
            Sender(
                run_id=run_id,
                clock=clock,
                secrets=SecretStore.from_environment(os.environ),
                poster=transport,
                policy=policy,
                journal_directory=journal_directory(os.environ),
                limits=config.limits(),
            ),
            on_batch=lambda attempts: context.log.info(metadata.batch_sentence(attempts)),
        )
        facts = metadata.delivery(report, states=Outbox(session, clock, run_id).counts())
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
    for endpoint_id in sorted(report.unreadable_retry_after):
        context.log.warning(f"endpoint {endpoint_id} sends a Retry-After header that is no time")
    for endpoint_id, reason in sorted(report.unusable.items()):
        problem = report.problems.get(endpoint_id, "see marts.webhook_endpoints")
        context.log.warning(f"endpoint {endpoint_id} is held ({reason}): {problem}")
    return dg.MaterializeResult(metadata=facts)
