"""The sensor's poll is cheap while nothing happens, and never misses a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sync.domain.pauses import NO_PAUSES
from sync.domain.states import FINISHED
from sync.ledger.outbox import remaining
from sync.local.raw_tables import create_raw_tables, insert_rows
from sync.operations.changes import (
    NOTHING_SEEN,
    HandOver,
    LastRun,
    Poll,
    Seen,
    Skip,
    Start,
    decide,
    hand_over,
    ledger_token,
    poll,
    sources_token,
)
from sync.settings import EmbeddedWarehouse
from sync.warehouse import RelationMissing, StatementFailed, Warehouse
from tests.support.ledger_rows import endpoint_state, webhook, write_ledger
from tests.support.marts import create_marts
from tests.support.scenarios import Scenarios

NOW = datetime(2026, 3, 10, 12, 0)
HOUR = timedelta(hours=1)
DUE = {"next_attempt_at": NOW.isoformat()}


@pytest.fixture
def ready(scenarios: Scenarios, warehouse: Warehouse) -> Warehouse:
    """A warehouse with empty tables."""

    def make(warehouse: Warehouse) -> None:
        create_raw_tables(warehouse)
        create_marts(warehouse)

    scenarios.stand("empty tables", make)
    return warehouse


def ask(
    warehouse: Warehouse, told: HandOver | None, now: datetime = NOW, before: Seen = NOTHING_SEEN
) -> Poll:
    return poll(warehouse, before, told=told, now=now, max_wait=HOUR)


def told_by_a_run(warehouse: Warehouse) -> HandOver:
    return hand_over(warehouse, ledger_token(warehouse), remaining(warehouse, NO_PAUSES))


def write(
    warehouse: Warehouse,
    row: Mapping[str, object],
    endpoint: Mapping[str, object] | None = None,
) -> None:
    """One webhook built at noon and never tried, and its endpoint, with the given changes."""
    untried = {"state": "pending", "delivered_at": None, "attempt_count": 0, "fence": 0}
    write_ledger(
        warehouse,
        webhooks=[webhook(1, NOW, **{**untried, **row})],
        endpoint_states=[] if endpoint is None else [endpoint_state(1, NOW, **endpoint)],
    )


def test_an_idle_look_is_one_statement_and_sees_the_same(ready: Warehouse) -> None:
    told = told_by_a_run(ready)
    seen = ask(ready, told).seen
    before = ready.statements
    assert ask(ready, told, before=seen) == Poll(seen)
    assert ready.statements - before == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda w: insert_rows(
                w,
                "grades_persistentcoursegrade",
                [{"id": 1, "user_id": 1, "course_id": "x", "modified": NOW}],
            ),
            id="a new grade",
        ),
        pytest.param(
            lambda w: w.execute(
                "insert into analytics.sync.endpoint_settings (endpoint_id, updated_at)"
                " select 1, cast('2026-03-10' as timestamp_ntz)"
            ),
            id="a setting of an endpoint",
        ),
    ],
)
def test_a_change_gives_another_token(
    ready: Warehouse, change: Callable[[Warehouse], object]
) -> None:
    before = sources_token(ready)
    assert sources_token(ready) == before
    change(ready)
    assert sources_token(ready) != before


def test_another_warehouse_gives_another_token(ready: Warehouse) -> None:
    """A staging copy in the same Dagster has the same rows, but does not speak for production."""
    assert isinstance(ready.settings, EmbeddedWarehouse)
    before = sources_token(ready)
    ready.settings = replace(ready.settings, home=ready.settings.home / "copy")
    assert sources_token(ready) != before


def test_a_source_that_cannot_be_asked_hides_no_retry(ready: Warehouse) -> None:
    write(ready, DUE)
    told = told_by_a_run(ready)
    ready.execute(
        "alter table raw.lms.grades_persistentcoursegrade rename column modified to changed"
    )
    found = ask(ready, told)
    assert found.due is not None
    assert "modified" in str(found.problem).lower()


def test_a_retry_is_noticed_when_it_comes_due_and_not_before(ready: Warehouse) -> None:
    write(ready, {"next_attempt_at": (NOW + timedelta(minutes=5)).isoformat()})
    told = told_by_a_run(ready)
    assert ask(ready, told, NOW + timedelta(minutes=4)).due is None
    due = ask(ready, told, NOW + timedelta(minutes=5)).due
    assert due is not None
    assert "came due" in due


def test_a_completion_that_has_waited_long_enough_is_noticed(ready: Warehouse) -> None:
    write(ready, {"state": "awaiting"})
    told = told_by_a_run(ready)
    assert ask(ready, told, NOW + HOUR - timedelta(seconds=1)).due is None
    assert ask(ready, told, NOW + HOUR).due is not None
    now = poll(ready, NOTHING_SEEN, told=told, now=NOW, max_wait=timedelta(0))
    assert now.due is not None, "at once when the flag is turned off"


def test_a_ledger_that_somebody_changed_starts_a_run_and_no_look_reads_it(
    ready: Warehouse,
) -> None:
    told = told_by_a_run(ready)
    assert told == HandOver(ledger=told.ledger, sendable_at=None, awaiting_since=None)
    write(ready, {"next_attempt_at": (NOW + HOUR).isoformat()})
    before = ready.statements
    found = ask(ready, told)
    assert ready.statements - before == 1
    assert found.due == "the ledger has changed since the last run"
    assert ask(ready, told_by_a_run(ready)).due is None


def test_what_a_run_tells_survives_its_tag_and_nothing_else_is_taken_for_it() -> None:
    for told in (HandOver(ledger="l", sendable_at=NOW, awaiting_since=None), *UNTOLD):
        assert HandOver.from_text(told.text() if told else None) == told
    for text in ("", "nonsense", "[]", '["l"]', '["l", null, 5, null]', "{}"):
        assert HandOver.from_text(text) is None


UNTOLD = (HandOver(ledger="l", sendable_at=None, awaiting_since=NOW), None)


LATER = (NOW + timedelta(minutes=7)).isoformat()


@pytest.mark.parametrize(
    ("row", "endpoint"),
    [
        pytest.param(
            {}, {"breaker_state": "open", "next_probe_at": LATER}, id="its circuit breaker is open"
        ),
        pytest.param({}, {"paused_until": LATER}, id="the endpoint asked for a pause"),
        pytest.param(
            {},
            {"next_slot_at": (NOW + timedelta(minutes=7, seconds=30)).isoformat()},
            id="the endpoint has no slot of its rate near enough",
        ),
        pytest.param(
            {"state": "held", "state_reason": "invalid_target", "body": "{}"},
            {"refused_at": (NOW - timedelta(minutes=53)).isoformat(), "refused_target": "x"},
            id="its target was refused less than an hour ago",
        ),
        pytest.param(
            {"lease_owner": "a", "lease_expires_at": LATER}, {}, id="another run has the row"
        ),
        pytest.param(
            {"state": "delivered", "replay_id": "r"},
            {"paused_until": LATER},
            id="a replay to an endpoint that asked for a pause",
        ),
    ],
)
def test_a_due_row_that_no_run_could_send_wakes_nobody_until_it_can(
    ready: Warehouse, row: dict[str, object], endpoint: dict[str, object]
) -> None:
    """Otherwise a blocked endpoint would start an empty run every half minute, or never any."""
    write(ready, DUE | row, endpoint)
    told = told_by_a_run(ready)
    assert ask(ready, told, NOW + timedelta(minutes=6)).due is None
    assert ask(ready, told, NOW + timedelta(minutes=7)).due is not None


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"state": "dead"}, id="dead"),
        pytest.param({"state": "delivered"}, id="delivered"),
        pytest.param({"state": "suppressed"}, id="suppressed"),
        pytest.param({"state": "held", "state_reason": "endpoint_invalid"}, id="held"),
    ],
)
def test_rows_that_no_run_would_send_wake_nobody(ready: Warehouse, row: dict[str, object]) -> None:
    at = None if row["state"] in FINISHED else NOW.isoformat()
    write(ready, {"next_attempt_at": at, "body": "{}"} | row)
    assert told_by_a_run(ready).due_at(HOUR) is None


def test_what_was_held_for_a_disabled_endpoint_wakes_when_it_is_enabled(ready: Warehouse) -> None:
    held = DUE | {"state": "held", "state_reason": "endpoint_disabled", "body": "{}"}
    write(ready, held, {"disabled_at": NOW.isoformat()})
    assert ask(ready, told_by_a_run(ready)).due is None
    write(ready, held, {"updated_at": LATER})
    assert ask(ready, told_by_a_run(ready)).due is not None


A = Seen(sources="a", ledger="l")
B = replace(A, sources="b")
SLOT = timedelta(minutes=5)
RESTED = LastRun("run-1", NOW - timedelta(seconds=1), has_failed=False)
"""It started in the previous slot."""
RECENT = LastRun("run-1", NOW, has_failed=False)
NEWS, QUIET = Poll(B), Poll(A)
DUE_NOW = Poll(A, "a webhook came due")


def decided(
    found: Poll,
    last: LastRun | None,
    *,
    before: Seen = A,
    is_handled: bool = True,
    now: datetime = NOW,
    dial: int = 5,
) -> Start | Skip:
    return decide(before, found, is_handled=is_handled, last=last, now=now, dial=dial)


@pytest.mark.parametrize("found", [NEWS, DUE_NOW])
@pytest.mark.parametrize("last", [RESTED, RECENT, replace(RECENT, has_failed=True)])
def test_one_run_starts_in_a_slot_of_the_dial_whatever_there_is_to_do(
    found: Poll, last: LastRun
) -> None:
    """A busy replica does not start runs back to back, and nothing waits longer than a slot."""
    is_handled = found is DUE_NOW
    at_once = decided(found, last, is_handled=is_handled)
    assert isinstance(at_once, Start if last is RESTED else Skip)
    for dial, wait in ((5, SLOT), (60, timedelta(minutes=12))):
        for now, expected in ((NOW + wait - timedelta(seconds=1), Skip), (NOW + wait, Start)):
            began = replace(last, began_at=NOW)
            said = decided(found, began, is_handled=is_handled, now=now, dial=dial)
            assert isinstance(said, expected)


def test_the_first_news_start_a_run_at_once() -> None:
    assert isinstance(decided(NEWS, None, is_handled=False), Start)


@pytest.mark.parametrize("last", [None, RESTED, RECENT])
def test_what_a_run_has_used_up_starts_none(last: LastRun | None) -> None:
    """Even if the sensor has lost its cursor."""
    for before in (A, NOTHING_SEEN):
        found = decided(QUIET, last, before=before)
        assert isinstance(found, Skip)
        assert "nothing has changed" in found.reason


@pytest.mark.parametrize(
    ("due_at", "text"),
    [
        (None, "nothing has changed; nothing is due"),
        # str() writes the first without a fraction and the second with one.
        (datetime(2026, 3, 12, 18), "nothing has changed; next due at 2026-03-12 18:00:00 UTC"),
        (
            datetime(2026, 3, 12, 18, 0, 0, 5),
            "nothing has changed; next due at 2026-03-12 18:00:00 UTC",
        ),
    ],
)
def test_a_skip_says_when_something_is_due_to_the_second(
    due_at: datetime | None, text: str
) -> None:
    found = decided(replace(QUIET, due_at=due_at), RESTED)
    assert isinstance(found, Skip)
    assert found.reason == text


def test_old_news_that_no_run_has_used_up_start_one() -> None:
    assert isinstance(decided(QUIET, RESTED, is_handled=False), Start)
    assert isinstance(decided(QUIET, None, is_handled=False), Start)


def test_a_failed_run_is_repeated_even_when_nothing_has_changed() -> None:
    after = decided(QUIET, replace(RESTED, has_failed=True))
    assert isinstance(after, Start)
    assert after.reason == "the last run failed"


LEFT = replace(RECENT, left_until=NOW + HOUR, saw="a")


def test_what_a_run_has_left_waits_for_the_time_that_it_named() -> None:
    for now, expected in ((NOW + SLOT, Skip), (NOW + HOUR, Start)):
        assert isinstance(decided(QUIET, LEFT, is_handled=False, now=now), expected)


def test_that_wait_is_not_for_retries_nor_for_newer_news() -> None:
    assert isinstance(decided(DUE_NOW, LEFT, is_handled=False, now=NOW + SLOT), Start)
    assert isinstance(decided(NEWS, LEFT, is_handled=False, now=NOW + SLOT), Start)


def test_each_ended_run_allows_one_further_run_of_the_same_cursor() -> None:
    """Dagster starts one run per key: two ticks before the run is visible must not start two."""
    first = decided(DUE_NOW, RESTED)
    again = decided(DUE_NOW, RESTED)
    next_one = decided(DUE_NOW, replace(RESTED, run_id="run-2"))
    assert isinstance(first, Start)
    assert isinstance(again, Start)
    assert isinstance(next_one, Start)
    assert first.key == again.key != next_one.key


def test_sources_that_cannot_be_asked_start_a_run_that_says_so() -> None:
    """Otherwise it would stay silent forever. Before the first run, nothing is set up yet."""
    broken = Poll(replace(A, sources=""), problem=StatementFailed("invalid identifier 'MODIFIED'"))
    assert isinstance(decided(broken, None, is_handled=False), Skip)
    found = decided(broken, RESTED, is_handled=False)
    assert isinstance(found, Start)
    assert "MODIFIED" in found.reason


@pytest.mark.parametrize(
    "cursor",
    [None, "", "nonsense", '{"other": 1}', "[]", '{"sources": "a", "ledger": "b", "due_at": null}'],
)
def test_an_unusable_cursor_or_one_of_an_earlier_version_is_like_none(cursor: str | None) -> None:
    assert Seen.from_cursor(cursor) == NOTHING_SEEN


def test_a_cursor_survives_the_round_trip() -> None:
    seen = replace(A, tables={"lms/auth_user": "1"})
    assert Seen.from_cursor(seen.cursor()) == seen


def test_before_the_first_build_it_says_what_is_missing(warehouse: Warehouse) -> None:
    with pytest.raises(RelationMissing):
        ask(warehouse, None)
