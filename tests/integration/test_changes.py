"""The question of the sensor: cheap while nothing happens, and never missing what did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sync.ledger.tables import ensure_ledger
from sync.local.raw_tables import create_raw_tables, insert_rows
from sync.operations.changes import (
    NOTHING_SEEN,
    LastRun,
    Poll,
    Seen,
    Skip,
    Start,
    decide,
    poll,
    sources_token,
)
from sync.settings import EmbeddedWarehouse
from sync.warehouse import RelationMissing, StatementFailed, Warehouse
from tests.support.ledger_rows import endpoint_state, webhook, write_ledger
from tests.support.marts import create_marts

NOW = datetime(2026, 3, 10, 12, 0)
HOUR = timedelta(hours=1)
DUE = {"next_attempt_at": NOW.isoformat()}


@pytest.fixture
def ready(warehouse: Warehouse) -> Warehouse:
    """A warehouse with empty tables."""
    ensure_ledger(warehouse)
    create_raw_tables(warehouse)
    create_marts(warehouse)
    return warehouse


def ask(warehouse: Warehouse, before: Seen = NOTHING_SEEN, now: datetime = NOW) -> Poll:
    return poll(warehouse, before, now=now, max_wait=HOUR)


def write(
    warehouse: Warehouse,
    row: Mapping[str, object],
    endpoint: Mapping[str, object] | None = None,
) -> None:
    """One webhook that was built at noon and never tried, and its endpoint; else as given."""
    untried = {"state": "pending", "delivered_at": None, "attempt_count": 0, "fence": 0}
    write_ledger(
        warehouse,
        webhooks=[webhook(1, NOW, **{**untried, **row})],
        endpoint_states=[] if endpoint is None else [endpoint_state(1, NOW, **endpoint)],
    )


def test_an_idle_look_is_one_statement_and_sees_the_same(ready: Warehouse) -> None:
    seen = ask(ready).seen
    before = ready.statements
    assert ask(ready, seen) == Poll(seen)
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
    """A staging copy on the same Dagster has the same rows, and says nothing about production."""
    assert isinstance(ready.settings, EmbeddedWarehouse)
    before = sources_token(ready)
    ready.settings = replace(ready.settings, home=ready.settings.home / "copy")
    assert sources_token(ready) != before


def test_a_source_that_cannot_be_asked_hides_no_retry(ready: Warehouse) -> None:
    write(ready, DUE)
    ready.execute(
        "alter table raw.lms.grades_persistentcoursegrade rename column modified to changed"
    )
    found = ask(ready)
    assert found.due is not None
    assert "modified" in str(found.problem).lower()


def test_a_retry_is_noticed_when_it_comes_due_and_not_before(ready: Warehouse) -> None:
    write(ready, {"next_attempt_at": (NOW + timedelta(minutes=5)).isoformat()})
    seen = ask(ready).seen
    assert ask(ready, seen, NOW + timedelta(minutes=4)).due is None
    due = ask(ready, seen, NOW + timedelta(minutes=5)).due
    assert due is not None
    assert "came due" in due


def test_a_completion_that_has_waited_long_enough_is_noticed(ready: Warehouse) -> None:
    write(ready, {"state": "awaiting"})
    seen = ask(ready).seen
    assert ask(ready, seen, NOW + HOUR - timedelta(seconds=1)).due is None
    assert ask(ready, seen, NOW + HOUR).due is not None


def test_the_due_time_is_read_only_after_the_ledger_changed(ready: Warehouse) -> None:
    seen = ask(ready).seen
    write(ready, DUE)
    before = ready.statements
    found = ask(ready, seen)
    assert ready.statements - before == 2
    assert found.due is not None


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
    """Else a blocked endpoint would start an empty run every half minute, or none afterwards."""
    write(ready, DUE | row, endpoint)
    seen = ask(ready).seen
    assert ask(ready, seen, NOW + timedelta(minutes=6)).due is None
    assert ask(ready, seen, NOW + timedelta(minutes=7)).due is not None


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
    assert ask(ready, seen).due is None
    write(ready, held, {"updated_at": LATER})
    assert ask(ready, seen).due is not None


A = Seen(sources="a", ledger="l", due_at=None, max_wait_seconds=0)
B = replace(A, sources="b")
PAUSE = timedelta(minutes=5)
RESTED = LastRun("run-1", NOW - PAUSE, has_failed=False)
RECENT = LastRun("run-1", NOW - timedelta(minutes=4), has_failed=False)
NEWS, QUIET = Poll(B), Poll(A)
DUE_NOW = Poll(A, "a webhook came due")


def decided(
    found: Poll,
    last: LastRun | None,
    *,
    before: Seen = A,
    is_handled: bool = True,
    now: datetime = NOW,
) -> Start | Skip:
    return decide(before, found, is_handled=is_handled, last=last, now=now)


@pytest.mark.parametrize("last", [None, RESTED, RECENT])
def test_news_start_a_run_at_once(last: LastRun | None) -> None:
    assert isinstance(decided(NEWS, last, is_handled=False), Start)


@pytest.mark.parametrize("last", [None, RESTED, RECENT])
def test_what_a_run_has_used_up_starts_none(last: LastRun | None) -> None:
    """Also where the sensor has lost its cursor."""
    for before in (A, NOTHING_SEEN):
        found = decided(QUIET, last, before=before)
        assert isinstance(found, Skip)
        assert "nothing has changed" in found.reason


def test_old_news_that_no_run_has_used_up_start_one_after_a_pause() -> None:
    assert isinstance(decided(QUIET, RECENT, is_handled=False), Skip)
    assert isinstance(decided(QUIET, RESTED, is_handled=False), Start)
    assert isinstance(decided(QUIET, None, is_handled=False), Start)


def test_a_failed_run_is_repeated_after_a_pause_even_when_nothing_has_changed() -> None:
    assert isinstance(decided(QUIET, replace(RECENT, has_failed=True)), Skip)
    after = decided(QUIET, replace(RESTED, has_failed=True))
    assert isinstance(after, Start)
    assert after.reason == "the last run failed"


def test_news_during_that_pause_wait_for_its_end() -> None:
    failed = replace(RECENT, has_failed=True)
    assert isinstance(decided(NEWS, failed, is_handled=False), Skip)
    assert isinstance(decided(NEWS, failed, is_handled=False, now=NOW + PAUSE), Start)


def test_what_a_run_could_not_bring_on_is_tried_again_after_a_pause() -> None:
    assert isinstance(decided(DUE_NOW, RECENT), Skip)
    assert isinstance(decided(DUE_NOW, RESTED), Start)
    assert isinstance(decided(DUE_NOW, RECENT, before=replace(A, ledger="k")), Start)


LEFT = replace(RECENT, left_until=NOW + timedelta(hours=1), saw="a")


def test_what_a_run_has_left_waits_for_the_time_that_it_named() -> None:
    for now, expected in ((NOW + PAUSE, Skip), (NOW + timedelta(hours=1), Start)):
        assert isinstance(decided(QUIET, LEFT, is_handled=False, now=now), expected)


def test_that_wait_is_not_for_retries_nor_for_newer_news() -> None:
    assert isinstance(decided(DUE_NOW, LEFT, is_handled=False, now=NOW + PAUSE), Start)
    assert isinstance(decided(NEWS, LEFT, is_handled=False), Start)


def test_each_ended_run_allows_one_further_run_of_the_same_cursor() -> None:
    """Dagster starts one run for a key: two ticks before the run is seen must not be two runs."""
    first = decided(DUE_NOW, RESTED)
    again = decided(DUE_NOW, RESTED)
    next_one = decided(DUE_NOW, replace(RESTED, run_id="run-2"))
    assert isinstance(first, Start)
    assert isinstance(again, Start)
    assert isinstance(next_one, Start)
    assert first.key == again.key != next_one.key


def test_sources_that_cannot_be_asked_start_a_run_that_says_so() -> None:
    """Quiet would be for ever; before the first run it only means that nothing is set up."""
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
    seen = replace(A, due_at=NOW.isoformat(), max_wait_seconds=60)
    assert Seen.from_cursor(seen.cursor()) == seen


def test_before_the_first_build_it_says_what_is_missing(warehouse: Warehouse) -> None:
    with pytest.raises(RelationMissing):
        ask(warehouse)
