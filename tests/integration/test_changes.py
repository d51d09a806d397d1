"""The question of the sensor: cheap while nothing happens, and never missing what did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sync.ledger.tables import ensure_ledger
from sync.loading.raw import create_raw_tables, insert_rows
from sync.operating.changes import LastRun, Look, Rest, Seen, Wake, decide, look
from sync.warehouse import RelationMissing, Warehouse
from tests.support.ledger_rows import endpoint_state, webhook, write_ledger
from tests.support.marts import create_marts

NOW = datetime(2026, 3, 10, 12, 0)
HOUR = timedelta(hours=1)
NOTHING_SEEN = Seen()
DUE = {"next_attempt_at": NOW.isoformat()}


@pytest.fixture
def ready(warehouse: Warehouse) -> Warehouse:
    """A warehouse with empty tables."""
    ensure_ledger(warehouse)
    create_raw_tables(warehouse)
    create_marts(warehouse)
    return warehouse


def ask(warehouse: Warehouse, before: Seen = NOTHING_SEEN, now: datetime = NOW) -> Look:
    return look(warehouse, before, now=now, max_wait=HOUR)


def write(
    warehouse: Warehouse,
    row: Mapping[str, object],
    endpoint: Mapping[str, object] | None = None,
) -> None:
    """One webhook that was frozen at noon and never tried, and its endpoint; else as given."""
    untried = {"state": "pending", "delivered_at": None, "attempt_count": 0, "fence": 0}
    write_ledger(
        warehouse,
        webhooks=[webhook(1, NOW, **{**untried, **row})],
        endpoint_states=[] if endpoint is None else [endpoint_state(1, NOW, **endpoint)],
    )


def test_the_first_look_wants_a_run_and_the_second_does_not(ready: Warehouse) -> None:
    first = ask(ready)
    assert first.reason is not None
    assert ask(ready, first.seen).reason is None


def test_an_idle_look_is_one_statement(ready: Warehouse) -> None:
    seen = ask(ready).seen
    before = ready.statements
    assert ask(ready, seen).reason is None
    assert ready.statements - before == 1


def test_a_new_grade_is_noticed(ready: Warehouse) -> None:
    seen = ask(ready).seen
    insert_rows(
        ready,
        "grades_persistentcoursegrade",
        [{"id": 1, "user_id": 1, "course_id": "x", "modified": NOW, "passed_timestamp": NOW}],
    )
    assert ask(ready, seen).reason == "the replicas or the mart have changed"


def test_a_retry_is_noticed_when_it_comes_due_and_not_before(ready: Warehouse) -> None:
    write(ready, {"next_attempt_at": (NOW + timedelta(minutes=5)).isoformat()})
    seen = ask(ready).seen
    assert ask(ready, seen, NOW + timedelta(minutes=4)).reason is None
    due = ask(ready, seen, NOW + timedelta(minutes=5)).reason
    assert due is not None
    assert "came due" in due


def test_a_completion_that_has_waited_long_enough_is_noticed(ready: Warehouse) -> None:
    write(ready, {"state": "awaiting"})
    seen = ask(ready).seen
    assert ask(ready, seen, NOW + HOUR - timedelta(seconds=1)).reason is None
    assert ask(ready, seen, NOW + HOUR).reason is not None


def test_the_due_moment_is_read_only_after_the_ledger_changed(ready: Warehouse) -> None:
    seen = ask(ready).seen
    write(ready, DUE)
    before = ready.statements
    found = ask(ready, seen)
    assert ready.statements - before == 2
    assert found.reason is not None


LATER = (NOW + timedelta(minutes=7)).isoformat()


@pytest.mark.parametrize(
    ("row", "endpoint"),
    [
        pytest.param(
            {}, {"breaker_state": "open", "next_probe_at": LATER}, id="the endpoint rests"
        ),
        pytest.param({}, {"paused_until": LATER}, id="the endpoint asked for a pause"),
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
    """Else a resting endpoint would start an empty run every half minute, or none afterwards."""
    write(ready, DUE | row, endpoint)
    seen = ask(ready).seen
    assert ask(ready, seen, NOW + timedelta(minutes=6)).reason is None
    assert ask(ready, seen, NOW + timedelta(minutes=7)).reason is not None


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
    write(ready, DUE | {"body": "{}"} | row)
    assert ask(ready).seen.due_at is None


def test_what_was_held_for_a_disabled_endpoint_wakes_when_it_is_enabled(ready: Warehouse) -> None:
    held = DUE | {"state": "held", "state_reason": "endpoint_disabled", "body": "{}"}
    write(ready, held, {"disabled_at": NOW.isoformat()})
    seen = ask(ready).seen
    assert ask(ready, seen).reason is None
    write(ready, held, {"updated_at": LATER})
    assert ask(ready, seen).reason is not None


RESTED = LastRun("run-1", NOW - timedelta(minutes=5), has_failed=False)
RECENT = LastRun("run-1", NOW - timedelta(minutes=4), has_failed=False)
NEWS = Look(Seen(sources="b"), "the replicas or the mart have changed")
QUIET = Look(Seen(sources="a"), None)
BEFORE = Seen(sources="a")


@pytest.mark.parametrize("last", [None, RESTED, RECENT])
def test_news_start_a_run_at_once(last: LastRun | None) -> None:
    assert isinstance(decide(BEFORE, NEWS, last=last, now=NOW), Wake)


@pytest.mark.parametrize("last", [None, RESTED, RECENT])
def test_quiet_starts_none(last: LastRun | None) -> None:
    found = decide(BEFORE, QUIET, last=last, now=NOW)
    assert isinstance(found, Rest)
    assert "nothing has changed" in found.reason


def test_a_failed_run_is_repeated_after_a_pause_even_when_nothing_has_changed() -> None:
    """Its cursor had moved on: what it was started for would never be news again."""
    failed = replace(RECENT, has_failed=True)
    assert isinstance(decide(BEFORE, QUIET, last=failed, now=NOW), Rest)
    after = decide(BEFORE, QUIET, last=replace(RESTED, has_failed=True), now=NOW)
    assert isinstance(after, Wake)
    assert after.reason == "the last run failed"


def test_news_during_that_pause_are_still_news_after_it() -> None:
    failed = replace(RECENT, has_failed=True)
    found = decide(BEFORE, NEWS, last=failed, now=NOW)
    assert found == Rest(found.reason, BEFORE)


def test_what_a_run_could_not_bring_on_is_tried_again_after_a_pause() -> None:
    due = Look(BEFORE, "a webhook came due")
    assert isinstance(decide(BEFORE, due, last=RECENT, now=NOW), Rest)
    assert isinstance(decide(BEFORE, due, last=RESTED, now=NOW), Wake)


def test_each_ended_run_allows_one_further_run_of_the_same_cursor() -> None:
    """Dagster starts one run for a key: two ticks before the run is seen must not be two runs."""
    due = Look(BEFORE, "a webhook came due")
    first = decide(BEFORE, due, last=RESTED, now=NOW)
    again = decide(BEFORE, due, last=RESTED, now=NOW)
    next_one = decide(BEFORE, due, last=replace(RESTED, run_id="run-2"), now=NOW)
    assert isinstance(first, Wake)
    assert isinstance(again, Wake)
    assert isinstance(next_one, Wake)
    assert first.key == again.key != next_one.key


@pytest.mark.parametrize("cursor", [None, "", "nonsense", '{"other": 1}', "[]"])
def test_an_unusable_cursor_is_like_none(cursor: str | None) -> None:
    assert Seen.from_cursor(cursor) == Seen()


def test_a_cursor_survives_the_round_trip() -> None:
    seen = Seen(sources="a", ledger="b", due_at=NOW.isoformat())
    assert Seen.from_cursor(seen.cursor()) == seen


def test_before_the_first_build_it_says_what_is_missing(warehouse: Warehouse) -> None:
    with pytest.raises(RelationMissing):
        ask(warehouse)
