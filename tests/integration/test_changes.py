"""The question of the sensor: cheap while nothing happens, and never missing what did."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from sync.changes import Look, Seen, look
from sync.ledger import ensure_ledger
from sync.raw import create_raw_tables, insert_rows
from sync.warehouse import RelationMissing, Warehouse
from tests.support.marts import create_marts

NOW = datetime(2026, 3, 10, 12, 0)
HOUR = timedelta(hours=1)
NOTHING_SEEN = Seen()


@pytest.fixture
def ready(warehouse: Warehouse) -> Warehouse:
    """A warehouse with empty tables."""
    ensure_ledger(warehouse)
    create_raw_tables(warehouse)
    create_marts(warehouse)
    return warehouse


def ask(warehouse: Warehouse, before: Seen = NOTHING_SEEN, now: datetime = NOW) -> Look:
    return look(warehouse, before, now=now, max_wait=HOUR)


def outbox_row(warehouse: Warehouse, webhook_id: str, **columns: object) -> None:
    values = {
        "webhook_id": webhook_id,
        "event_type": "course_completion",
        "enterprise_customer_uuid": "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8",
        "user_id": 1,
        "courserun_key": "course-v1:ExampleX+DATA101+2026_T1",
        "occurred_at": NOW.isoformat(),
        "recorded_at": NOW.isoformat(),
        "state": "pending",
        "attempt_count": 0,
        "fence": 0,
        "updated_at": NOW.isoformat(),
    } | columns
    warehouse.execute(
        f"insert into analytics.sync.webhook_outbox ({', '.join(values)})"
        f" select {', '.join('?' for _ in values)}",
        *values.values(),
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
    outbox_row(ready, "a", next_attempt_at=(NOW + timedelta(minutes=5)).isoformat())
    seen = ask(ready).seen
    assert ask(ready, seen, NOW + timedelta(minutes=4)).reason is None
    due = ask(ready, seen, NOW + timedelta(minutes=5)).reason
    assert due is not None
    assert "came due" in due


def test_a_completion_that_has_waited_long_enough_is_noticed(ready: Warehouse) -> None:
    outbox_row(ready, "a", state="awaiting")
    seen = ask(ready).seen
    assert ask(ready, seen, NOW + HOUR - timedelta(seconds=1)).reason is None
    assert ask(ready, seen, NOW + HOUR).reason is not None


def test_the_due_moment_is_read_only_after_the_ledger_changed(ready: Warehouse) -> None:
    seen = ask(ready).seen
    outbox_row(ready, "a", next_attempt_at=NOW.isoformat())
    before = ready.statements
    found = ask(ready, seen)
    assert ready.statements - before == 2
    assert found.reason is not None


@pytest.mark.parametrize("cursor", [None, "", "nonsense", '{"other": 1}', "[]"])
def test_an_unusable_cursor_is_like_none(cursor: str | None) -> None:
    assert Seen.from_cursor(cursor) == Seen()


def test_a_cursor_survives_the_round_trip() -> None:
    seen = Seen(sources="a", ledger="b", due_at=NOW.isoformat())
    assert Seen.from_cursor(seen.cursor()) == seen


def test_before_the_first_build_it_says_what_is_missing(warehouse: Warehouse) -> None:
    with pytest.raises(RelationMissing):
        ask(warehouse)
