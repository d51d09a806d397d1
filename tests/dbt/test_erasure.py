"""A learner whose lines are deleted from the raw log.

The log grows and is never changed otherwise, so an increment looks for new lines, not for missing
ones. Deletion is the one case that needs a full refresh; these tests show what happens before it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sync.warehouse import Warehouse
from tests.conftest import Dbt
from tests.dbt.scenario import Batch, enroll, line, load, prepare

BUILD = ("build", "--exclude-resource-type", "unit_test", "--select", "+marts.learning_time")
BUILD += ("--exclude", "tag:delivery")
MONDAY = datetime(2026, 3, 9, 6, 0, tzinfo=UTC)
KEPT, ERASED = 8, 7


def lines(user_id: int, minute: int) -> tuple[str, ...]:
    """Ten minutes of learning and a line that is quarantined."""
    return (
        line(user_id, f"2026-03-08T09:{minute:02}:00+00:00"),
        line(user_id, f"2026-03-08T09:{minute + 10:02}:00+00:00", "page_close"),
        line(user_id, "yesterday"),
    )


@pytest.fixture
def built(warehouse: Warehouse, dbt: Dbt) -> Warehouse:
    """Two learners, each with lines in an old batch and in one within the lookback."""
    prepare(warehouse)
    enroll(warehouse, [KEPT, ERASED])
    load(
        warehouse,
        Batch("old", MONDAY, lines(KEPT, 0) + lines(ERASED, 0)),
        Batch("new", MONDAY + timedelta(days=20), lines(KEPT, 20) + lines(ERASED, 20)),
    )
    dbt(*BUILD)
    assert seconds(warehouse) == {KEPT: 1800, ERASED: 1800}
    return warehouse


def test_a_full_refresh_leaves_nothing_of_an_erased_learner(built: Warehouse, dbt: Dbt) -> None:
    """Before it the build stops where counts differ, and the marts keep what they had."""
    erase(built, "%")
    with pytest.raises(AssertionError, match="assert_every_learning_line_is_counted_once"):
        dbt(*BUILD)
    assert seconds(built) == {KEPT: 1800, ERASED: 1800}

    dbt(*BUILD, "--full-refresh")

    assert seconds(built) == {KEPT: 1800}
    for table in ("int_tracking_events", "int_learning_gaps", "int_learning_time_daily"):
        assert not built.rows(
            f"select 1 from analytics.intermediate.{table} where user_id = ?", ERASED
        )
    assert not built.rows(
        "select 1 from analytics.marts.quarantined_lines where line_excerpt like ?",
        f'%"user_id": {ERASED},%',
    )


def test_an_erasure_beyond_the_lookback_stays_unseen_until_then(built: Warehouse, dbt: Dbt) -> None:
    erase(built, "old")
    dbt(*BUILD)
    assert seconds(built) == {KEPT: 1800, ERASED: 1800}

    dbt(*BUILD, "--full-refresh")
    assert seconds(built) == {KEPT: 1800, ERASED: 600}


def erase(warehouse: Warehouse, file_name: str) -> None:
    """Delete the learner's lines from the files that match."""
    deleted = warehouse.execute(
        "delete from raw.tracking.tracking_logs where file_name like ? and line like ?",
        file_name,
        f'%"user_id": {ERASED},%',
    )
    assert deleted > 0


def seconds(warehouse: Warehouse) -> dict[int, int]:
    """Learning time by learner in the mart."""
    rows = warehouse.rows(
        "select user_id, sum(learning_time_seconds) as seconds "
        "from analytics.marts.learning_time group by user_id"
    )
    return {int(row["user_id"]): int(row["seconds"]) for row in rows}
