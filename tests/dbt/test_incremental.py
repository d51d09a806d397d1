"""Learning time does not depend on when, how often or in what order lines arrive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from sync.warehouse import Warehouse
from tests.dbt.scenario import BUILD_DAYS, RUN, Batch, daily, line, load, prepare
from tests.support.dbt import Dbt

DAY = date(2026, 3, 4)
MONDAY = datetime(2026, 3, 9, 6, 0, tzinfo=UTC)

LINES = (
    line(7, "2026-03-04T09:00:00+00:00", "page_close"),
    line(7, "2026-03-04T09:10:00+00:00"),
    line(7, "2026-03-04T10:00:00+00:00"),
    line(7, "2026-03-04T23:50:00+00:00"),
    line(7, "2026-03-05T00:06:40+00:00"),
    line(8, "2026-03-04T09:00:00+00:00"),
    line(8, "2026-03-04T09:50:00+00:00"),
)
JOINS_TWO_SESSIONS = line(8, "2026-03-04T09:25:00+00:00", "pause_video")
INSIDE_A_COUNTED_GAP = line(7, "2026-03-04T09:05:00+00:00", "pause_video")
DUPLICATES = (LINES[0], LINES[5], "[prefix] " + LINES[6])

EXPECTED = {
    (7, RUN, DAY): (1_200_000_000, 5, 3),
    (7, RUN, date(2026, 3, 5)): (400_000_000, 1, 0),
    (8, RUN, DAY): (3_000_000_000, 3, 1),
}


def batches(order: Sequence[int]) -> list[Batch]:
    """The input in four parts; each is loaded an hour after the one before it in ``order``."""
    parts = [
        LINES[:3],
        LINES[3:6] + DUPLICATES[:1],
        (LINES[6], INSIDE_A_COUNTED_GAP),
        (JOINS_TWO_SESSIONS, *DUPLICATES),
    ]
    return [
        Batch(f"part-{number}", MONDAY + timedelta(hours=position), parts[number])
        for position, number in enumerate(order)
    ]


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (2, 0, 3, 1)], ids=["reversed", "mixed"])
def test_batches_in_any_order_end_in_the_full_refresh(
    warehouse: Warehouse, dbt: Dbt, order: Sequence[int]
) -> None:
    prepare(warehouse)
    for batch in batches(order):
        load(warehouse, batch)
        dbt(*BUILD_DAYS)
    incremental = daily(warehouse)

    dbt(*BUILD_DAYS, "--full-refresh")

    assert incremental == EXPECTED
    assert daily(warehouse) == EXPECTED


def test_a_second_run_over_the_same_lines_changes_nothing(warehouse: Warehouse, dbt: Dbt) -> None:
    prepare(warehouse)
    load(warehouse, *batches((0, 1, 2, 3)))
    dbt(*BUILD_DAYS)
    stamps = _stamps(warehouse)

    dbt(*BUILD_DAYS)

    assert daily(warehouse) == EXPECTED
    assert _stamps(warehouse) == stamps


def test_only_the_learners_of_new_lines_are_computed_again(warehouse: Warehouse, dbt: Dbt) -> None:
    prepare(warehouse)
    load(warehouse, Batch("one", MONDAY, LINES))
    dbt(*BUILD_DAYS)
    before = _stamps(warehouse)

    load(warehouse, Batch("two", MONDAY + timedelta(hours=1), (JOINS_TWO_SESSIONS,)))
    dbt(*BUILD_DAYS)

    after = _stamps(warehouse)
    assert after[7] == before[7]
    assert after[8] > before[8]


def test_a_batch_that_grew_after_it_was_read_is_read_again(warehouse: Warehouse, dbt: Dbt) -> None:
    """A load that becomes visible in two parts keeps one load time for both."""
    prepare(warehouse)
    load(warehouse, Batch("one", MONDAY, LINES[:2]))
    dbt(*BUILD_DAYS)
    load(warehouse, Batch("one", MONDAY, LINES[2:]))
    load(warehouse, Batch("two", MONDAY, (INSIDE_A_COUNTED_GAP, JOINS_TWO_SESSIONS)))
    dbt(*BUILD_DAYS)

    assert daily(warehouse) == EXPECTED


def test_a_batch_with_an_older_load_time_is_found_within_the_lookback(
    warehouse: Warehouse, dbt: Dbt
) -> None:
    """And one beyond it only by a run with a wider lookback, which needs no full refresh."""
    prepare(warehouse)
    load(warehouse, Batch("newest", MONDAY, LINES[:5]))
    dbt(*BUILD_DAYS)
    load(
        warehouse,
        Batch("within", MONDAY - timedelta(days=2), LINES[5:]),
        Batch("beyond", MONDAY - timedelta(days=4), (INSIDE_A_COUNTED_GAP, JOINS_TWO_SESSIONS)),
    )
    dbt(*BUILD_DAYS)
    assert daily(warehouse)[8, RUN, DAY] == (0, 2, 2)

    dbt(*BUILD_DAYS, "--vars", "{late_arrival_days: 400}")
    assert daily(warehouse) == EXPECTED


def test_lines_without_a_file_name_are_read_once(warehouse: Warehouse, dbt: Dbt) -> None:
    """NULL keys never match a delete: a batch without a name would be inserted twice."""
    prepare(warehouse)
    for lines in (LINES[:3], LINES[3:]):
        warehouse.bulk(
            "insert into raw.tracking.tracking_logs "
            "select value:line::varchar, null, '2026-03-09 06:00:00'::timestamp_ntz "
            "from table(flatten(input => parse_json(?)))",
            ({"line": one} for one in lines),
        )
        dbt(*BUILD_DAYS)
    rows = warehouse.rows("select count(*) as n from analytics.intermediate.int_tracking_events")

    assert rows == [{"n": len(LINES)}]


def test_a_copied_row_is_seen_while_its_day_was_changed_lately(
    warehouse: Warehouse, dbt: Dbt
) -> None:
    """Data tests of single rows do not read a year of them at each build."""
    prepare(warehouse)
    load(warehouse, Batch("one", MONDAY, LINES))
    dbt(*BUILD_DAYS)
    tests = ("test", "--select", "int_learning_gaps,test_type:generic")
    gaps = "analytics.intermediate.int_learning_gaps"
    last_day = "activity_date = '2026-03-05'::date"
    warehouse.execute(f"insert into {gaps} select * from {gaps} where {last_day}")

    with pytest.raises(AssertionError, match="unique_combination_of_columns_int_learning_gaps"):
        dbt(*tests)

    # Longer ago than `late_arrival_days` before the newest line.
    warehouse.execute(
        f"update {gaps} set processed_at = dateadd(day, -4, processed_at) where {last_day}"
    )
    dbt(*tests)


def _stamps(warehouse: Warehouse) -> dict[int, datetime]:
    return {
        int(row["user_id"]): row["stamp"]
        for row in warehouse.rows(
            "select user_id, max(processed_at) as stamp "
            "from analytics.intermediate.int_learning_time_daily group by user_id"
        )
    }
