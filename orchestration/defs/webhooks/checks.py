"""Checks that cannot be dbt tests: they read bodies and leases, or run before a send."""

import os
from collections.abc import Iterator, Sequence

import dagster as dg

from orchestration.check_texts import CheckText
from orchestration.keys import ENRICHED, NEW, WEBHOOKS, record_key
from orchestration.metadata import bullets
from orchestration.resources import WarehouseResource
from orchestration.teams import Team
from sync.clock import warehouse_clock
from sync.delivery.formats import known_formats, problems_of_formats
from sync.domain.event_types import EventType, recorded_types
from sync.domain.pauses import Pause
from sync.ledger.checks import (
    Findings,
    bodies_that_differ,
    recorded_twice,
    successes_not_settled,
)
from sync.ledger.pauses import read_pauses

RECORDED_ONCE = CheckText(
    "No event is in the outbox twice with a copy still to be sent. Runs before each send; while "
    "it fails, nothing is built or sent.",
    Team.INTEGRATIONS,
    "Delete the copy that was never attempted (`attempt_count` 0), find out what else writes to "
    "the outbox (a restored copy, a manual INSERT: runs record under a lease), and run "
    "completion_webhooks_job again.",
)
RECORDED_ONCE_KEY = dg.AssetCheckKey(NEW, "no_event_is_recorded_twice")

RECORDED_NUMBER = CheckText(
    "Body equals mart: every message built within 7 days in the format v2 or percipio contains "
    "the learning time read from the mart, and no other message contains any.",
    Team.INTEGRATIONS,
    "Stop completion_webhooks_job and report a bug with the ids; a body is never rebuilt.",
).spec("bodies_carry_the_recorded_number", ENRICHED)

SUCCESS_SETTLED = CheckText(
    "A webhook is delivered if and only if a 2xx is logged for it, or `ltw settle` has a receipt. "
    "Excludes rows under a lease, which a run is working on.",
    Team.INTEGRATIONS,
    "Run completion_webhooks_job, which settles what a dead run left. If the check still fails, "
    "report a bug with the ids.",
).spec("logged_success_is_delivered", WEBHOOKS)

NOTHING_PAUSED = CheckText(
    "Nothing is paused. Warns while an operator pause is active, with its start, operator, reason, "
    "end and the command that ends it. Paused webhooks wait and are not lost.",
    Team.INTEGRATIONS,
    "When the reason no longer applies, end the pause with that command.",
).spec("nothing_is_paused", WEBHOOKS, reminds=True)


FORMAT_FILES = CheckText(
    "Every file in `LTW_FORMATS_DIR` is a valid body format, and every format that an event type "
    "names has a body for it. Otherwise, messages in that format are held.",
    Team.INTEGRATIONS,
    "Fix the file at the location in the check; `ltw formats check` validates it, and the next run "
    "sends the held messages.",
).spec("format_files_can_be_read", ENRICHED)


def usual_number(source: EventType) -> dg.AssetCheckSpec:
    """The check of the mass-send guard, evaluated by the recording asset itself."""
    return CheckText(
        f"At most `mass_send_limit` {source.plural} are new. Otherwise, none of them is recorded.",
        Team.INTEGRATIONS,
        f"Check `marts.{source.mart}`. If the number is correct, run once with "
        "`allow_mass_send: true`; if not, fix the replica.",
    ).spec(f"no_unusual_number_of_{source.plural}", record_key(source))


def before_the_send() -> dg.AssetChecksDefinition:
    """Blocks the downstream assets if sending would do harm, whatever was recorded."""
    others = [key for key in map(record_key, recorded_types()) if key != NEW]
    spec = RECORDED_ONCE.spec(RECORDED_ONCE_KEY.name, NEW, blocking=True, after=others)

    @dg.multi_asset_check(name="before_the_send", specs=[spec])
    def check(warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
        with warehouse.session(purpose="check") as session:
            yield _result(RECORDED_ONCE_KEY, recorded_twice(session))

    return check


@dg.multi_asset_check(
    name="after_the_send",
    specs=[RECORDED_NUMBER, SUCCESS_SETTLED, NOTHING_PAUSED],
    can_subset=True,
)
def after_the_send(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult]:
    """Findings that a person must investigate; they block nothing."""
    rules = {RECORDED_NUMBER.key: bodies_that_differ, SUCCESS_SETTLED.key: successes_not_settled}
    with warehouse.session(purpose="check") as session:
        for key, rule in rules.items():
            if key in context.selected_asset_check_keys:
                yield _result(key, rule(session))
        if NOTHING_PAUSED.key in context.selected_asset_check_keys:
            yield _paused(read_pauses(session, warehouse_clock(session)()).on)


def _paused(pauses: Sequence[Pause]) -> dg.AssetCheckResult:
    said = [str(one) for one in pauses]
    return dg.AssetCheckResult(
        check_name=NOTHING_PAUSED.name,
        asset_key=NOTHING_PAUSED.asset_key,
        passed=not said,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(said),
        metadata={"pauses": bullets(said)},
    )


@dg.multi_asset_check(name="format_files", specs=[FORMAT_FILES])
def format_files() -> dg.AssetCheckResult:
    """The format files as read by this run."""
    formats = known_formats(os.environ)
    problems = list(formats.problems.values())
    for one in recorded_types():
        problems += [f"{one.name}: {what}" for what in problems_of_formats(one, formats)]
    return dg.AssetCheckResult(
        check_name=FORMAT_FILES.name,
        asset_key=ENRICHED,
        passed=not problems,
        metadata={"problems": bullets(problems)},
    )


def _result(key: dg.AssetCheckKey, found: Findings) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=key.name,
        asset_key=key.asset_key,
        passed=found.count == 0,
        metadata={"webhooks": found.count, "some_of_them": bullets(found.webhook_ids)},
    )


@dg.definitions
def webhook_checks() -> dg.Definitions:
    """All checks; the first runs after every recording asset."""
    return dg.Definitions(asset_checks=[before_the_send(), after_the_send, format_files])
