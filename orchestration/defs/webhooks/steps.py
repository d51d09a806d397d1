"""Work of the webhook assets: detect, build, send; and what continues when one of them fails."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import dagster as dg

from orchestration import metadata
from orchestration.config import DeliveryConfig, EnrichmentConfig, RecordingConfig
from orchestration.defs.webhooks.dry_run import is_dry_run, is_enriching
from orchestration.defs.webhooks.run_notes import NEXT, done, note, note_repeat, note_seen
from orchestration.effective import config_of, given_config, settings_shown
from orchestration.keys import ENRICHED, WEBHOOKS, op_name, record_key
from orchestration.resources import WarehouseResource
from sync.clock import warehouse_clock
from sync.delivery.build import build as build_messages
from sync.delivery.destinations import open_destination
from sync.delivery.learning_time import LearningTimeClient
from sync.delivery.record import Detected, LeftToAnother, OverLimit, Recorded, record
from sync.delivery.send import Sender, send_due
from sync.domain.event_types import EventType, recorded_types
from sync.domain.work import Attempt
from sync.ledger.checks import recorded_twice
from sync.ledger.outbox import Outbox, Remaining, remaining
from sync.ledger.pauses import read_pauses
from sync.ledger.tables import ATTEMPTS
from sync.operations.changes import (
    REPEAT_AFTER,
    hand_over,
    ledger_token,
    sources_token,
    watched_with,
)
from sync.operations.watching import Watch, watching
from sync.settings import journal_directory, load_settings
from sync.telemetry import Span
from sync.warehouse import NoResponse, StatementFailed, Warehouse, WarehouseUnavailable

GUARD_REPEAT = timedelta(hours=1)
"""Events held back by the mass-send guard wait for a person; an earlier run costs a warehouse."""

Context = dg.AssetExecutionContext
Metadata = dict[str, Any]
T = TypeVar("T")


def detect(
    context: Context, warehouse: WarehouseResource, source: EventType, config: RecordingConfig
) -> tuple[Detected, Metadata]:
    """Record the events of a type that are not in the outbox yet; return and log the result.

    Raises:
        dagster.Failure: the mart of the events cannot be read; names it.
        NoResponse, WarehouseUnavailable: the warehouse is unavailable.
    """
    run_id, what = context.run.run_id, source.plural
    with (
        watching(Span.DETECT, run_id) as watch,
        warehouse.session(purpose="detect") as session,
    ):
        _note_sources(context, session, source)
        clock = warehouse_clock(session)
        began = clock()
        try:
            found = record(
                session,
                run_id=run_id,
                clock=clock,
                source=source,
                activated_at=config.activation(),
                mass_send_limit=config.mass_send_limit,
                allow_mass_send=config.allow_mass_send,
                is_enriching=is_enriching(context),
            )
        except NoResponse:
            raise
        except StatementFailed as error:
            raise dg.Failure(
                f"no {what} can be detected because marts.{source.found_in or source.mart} or one "
                f"of its sources cannot be read: {error}",
                allow_retries=False,
            ) from error
        watch.detected(what, found)
        say_found(context, what, found, verb="recorded")
        if found.activated_at > clock():
            context.log.warning(
                f"{what} from before {found.activated_at} UTC, which is in the future, are "
                "recorded but never sent"
            )
        facts = metadata.detection(session, source, found, run_id=run_id, since=began)
    _note_detected(context, record_key(source), found)
    return found, facts


def build(context: Context, warehouse: WarehouseResource, config: EnrichmentConfig) -> Metadata:
    """Build the messages of recorded events; metadata about the outcomes."""
    policy = config.policy()
    with (
        watching(Span.BUILD, context.run.run_id) as watch,
        warehouse.session(purpose="build") as session,
        LearningTimeClient.connect(session.settings) as client,
    ):
        clock = warehouse_clock(session)
        outbox = Outbox(session, clock, context.run.run_id)
        report = build_messages(session, outbox, client, policy=policy, clock=clock)
        watch.built(report)
    for problem, count in sorted(report.problems.items()):
        context.log.warning(f"{count} completions: {problem}")
    context.log.info(metadata.build_sentence(report))
    note(context, done(ENRICHED))
    settings = settings_of(context, ENRICHED, config)
    return metadata.building(report, policy) | {"settings": settings}


def send(context: Context, warehouse: WarehouseResource, config: DeliveryConfig) -> Metadata:
    """Send every due webhook; metadata about the results.

    Raises:
        dagster.Failure: no endpoint could be reached, so it is a sender error.
    """
    run_id = context.run.run_id
    with (
        watching(Span.DELIVER, run_id) as watch,
        warehouse.session(purpose="deliver") as session,
        open_destination(os.environ, load_settings(os.environ)) as destination,
    ):
        clock = warehouse_clock(session)
        began = clock()
        token, left = ledger_token(session), Remaining()
        report = send_due(
            session,
            Sender(
                run_id=run_id,
                clock=clock,
                destination=destination,
                journal_directory=journal_directory(os.environ),
                limits=config.limits(),
            ),
            on_batch=lambda attempts: _say_sent(context, watch, attempts),
        )
        watch.delivered(session, report)
        pauses = read_pauses(session, clock())
        if not report.was_idle:
            token, left = ledger_token(session), remaining(session, pauses)
        note(context, NEXT, hand_over(session, token, left).text())
        facts = metadata.delivery(report, states=left.states, pauses=pauses.on) | {
            "ledger_rows_of_this_run": metadata.rows_of(
                session.relation("sync", ATTEMPTS), run_id=run_id, started_at=began
            )
        }
    facts |= {"settings": settings_of(context, WEBHOOKS, config)}
    if (at := report.next_due_at) is not None:
        context.log.info(f"the next webhook can be sent at {at:%Y-%m-%d %H:%M:%S} UTC")
    for pause in pauses.on:
        context.log.warning(str(pause))
    if report.recovered:
        context.log.warning(
            f"{report.recovered} attempts were recovered from the journal of a run that died"
        )
    for journal in report.foreign_journals:
        context.log.warning(
            f"skipped journal {journal}. Runs on that ledger with this LTW_JOURNAL_DIR record it; "
            "if there are none, move it away"
        )
    if report.is_own_network_down:
        raise dg.Failure(
            "no endpoint could be reached, which is a sender error: no customer's attempts were "
            "charged, and the next run retries the webhooks. Check the network of the machine that "
            "delivers",
            metadata=facts,
            allow_retries=False,
        )
    for problem in report.unchecked:
        context.log.warning(problem)
    for endpoint_id in sorted(report.unreadable_retry_after):
        context.log.warning(f"endpoint {endpoint_id} sends an invalid Retry-After header")
    for endpoint_id, reason in sorted(report.unusable.items()):
        problem = report.problems.get(endpoint_id, reason.meaning)
        context.log.warning(
            f"endpoint {endpoint_id} is held ({reason}): {problem}. To do: {reason.action}"
        )
    note(context, done(WEBHOOKS))
    return facts


Below = tuple[dg.AssetKey, type[Any], Callable[[Context, WarehouseResource, Any], Metadata]]
SEND: Below = (WEBHOOKS, DeliveryConfig, send)
BUILD_AND_SEND: Sequence[Below] = ((ENRICHED, EnrichmentConfig, build), SEND)


def or_go_on_below(
    context: Context, warehouse: WarehouseResource, key: dg.AssetKey, work: Callable[[], T]
) -> Generator[dg.AssetMaterialization, None, T]:
    """Do the work of an asset; if it fails, do the work of the downstream assets, then fail.

    Dagster runs no step downstream of a failed one. But events already recorded and built do not
    depend on the failure: a renamed column of one replica must not stop yesterday's retries, nor
    may one event type stop another. So if any recording asset fails, the last one to end does the
    downstream work. Yields the materializations of that work for this run."""
    below = [SEND] if key == ENRICHED else BUILD_AND_SEND
    try:
        made = work()
    except (NoResponse, WarehouseUnavailable):
        # No downstream step could do anything either.
        raise
    except Exception:
        if None not in _peers(context, key):
            yield from _work_below(context, warehouse, below, failed=key)
        raise
    peers = _peers(context, key)
    if "FAILURE" in peers and None not in peers:
        yield from _work_below(context, warehouse, below, failed=key)
    return made


def _peers(context: Context, key: dg.AssetKey) -> set[str | None]:
    """How the other recording assets of this run ended: SUCCESS or FAILURE, and None for one that
    has not. Empty if there are none."""
    keys = [record_key(one) for one in recorded_types()]
    names = [op_name(one) for one in keys if one != key and _is_to_run(context, one)]
    if key not in keys or not names:
        return set()
    stats = context.instance.get_run_step_stats(context.run.run_id, names)
    ended = {one.step_key: one.status.value for one in stats if one.status and one.end_time}
    return {ended.get(name) for name in names}


def _work_below(
    context: Context, warehouse: WarehouseResource, steps: Sequence[Below], *, failed: dg.AssetKey
) -> Iterator[dg.AssetMaterialization]:
    below = [one for one in steps if _is_to_run(context, one[0])]
    if not below:
        return
    try:
        with warehouse.session(purpose="check") as session:
            doubled = recorded_twice(session).count
    # Whatever happens here, the run fails with the first error.
    except Exception as error:
        context.log.error(f"the outbox cannot be read either, so nothing is sent: {error}")
        return
    if doubled:
        context.log.error(
            f"{doubled} events are in the outbox twice, so nothing is built or sent: see the check "
            "no_event_is_recorded_twice"
        )
        return
    for key, config_type, do in below:
        name = op_name(key)
        context.log.warning(f"an upstream asset failed; {op_name(failed)} also does {name}")
        try:
            config = config_of(config_type, given_config(context.run.run_config, name))
            facts = do(context, warehouse, config)
        except Exception as error:
            context.log.error(f"{name} also failed: {error}")
        else:
            yield dg.AssetMaterialization(key, metadata=facts)


def _is_to_run(context: Context, key: dg.AssetKey) -> bool:
    """Whether this run includes an asset."""
    if op_name(key) not in context.job_def.graph.node_dict:
        return False
    steps = context.run.step_keys_to_execute
    return steps is None or op_name(key) in steps


def settings_of(
    context: Context,
    key: dg.AssetKey,
    config: RecordingConfig | EnrichmentConfig | DeliveryConfig,
) -> dg.MarkdownMetadataValue:
    """The effective settings of an asset in this run."""
    given = given_config(context.run.run_config, op_name(key))
    is_made_dry = is_dry_run(context) and not config.dry_run
    return settings_shown(config, given, is_made_dry=is_made_dry)


def _note_sources(context: Context, session: Warehouse, source: EventType) -> None:
    try:
        note_seen(context, sources_token(session, watched_with(source)))
    except NoResponse:
        raise
    except StatementFailed as error:
        # The sensor uses this note; a run without it is repeated, which does no harm.
        context.log.warning(f"this run cannot note what it saw: {error}")


def _note_detected(context: Context, key: dg.AssetKey, found: Detected) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    match found:
        case LeftToAnother(until=until):
            # Most such runs are alive and have ended long before then.
            note_repeat(context, min(until, now + REPEAT_AFTER))
        case OverLimit():
            note_repeat(context, now + GUARD_REPEAT)
        case Recorded():
            note(context, done(key))


def say_found(context: Context, what: str, outcome: Detected, *, verb: str) -> None:
    """Log the result of detection in one line."""
    match outcome:
        case OverLimit(found=count, limit=limit):
            context.log.error(
                f"{count} {what} are new, more than mass_send_limit = {limit}: none was "
                "recorded. If the number is right, run again with allow_mass_send: true"
            )
        case LeftToAnother(run_id=other, until=until):
            context.log.warning(
                f"run {other} is recording {what}: this run leaves them to it. If that run was "
                f"killed, its lease ends at {until:%Y-%m-%d %H:%M:%S} UTC"
            )
        case Recorded(awaiting=awaiting, suppressed=suppressed):
            context.log.info(f"{awaiting} {what} {verb}, {suppressed} older ones suppressed")


def _say_sent(context: Context, watch: Watch, attempts: Sequence[Attempt]) -> None:
    context.log.info(metadata.batch_sentence(attempts))
    watch.batch(attempts)
