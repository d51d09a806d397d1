"""What reaches the marts: never a bad batch, and no claim beyond what is loaded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sync.warehouse import Warehouse
from tests.dbt.scenario import (
    LEARNING_TIME,
    ONLY_NAMED_TESTS,
    Batch,
    enroll,
    line,
    load,
    pass_course,
    stand_models,
)
from tests.support.dbt import Dbt
from tests.support.scenarios import Scenarios

BUILD = (
    *LEARNING_TIME,
    *("assert_quarantined_share_is_small", "tracking_logs_loaded_at_is_filled"),
    *ONLY_NAMED_TESTS,
)
WITH_EVERY_TEST = (
    *("build", "--select", "stg_tracking__events", "int_tracking_events_screened"),
    *(f"+marts.learning_time,config.materialized:{kind}" for kind in ("incremental", "table")),
    *("--exclude", "tag:delivery", "resource_type:unit_test"),
)
"""Data tests of the tables, and of the views that read the lines."""
MONDAY = datetime(2026, 3, 9, 6, 0, tzinfo=UTC)
GOOD = (
    line(7, "2026-03-09T05:00:00+00:00"),
    line(7, "2026-03-09T05:20:00+00:00", "page_close"),
)
PASSED_AT = datetime(2026, 3, 9, 5, 10, tzinfo=UTC)


@pytest.fixture
def built(scenarios: Scenarios, warehouse: Warehouse, dbt: Dbt) -> Warehouse:
    """One learner who passed between two events, built once."""

    def make(empty: Warehouse) -> None:
        stand_models(scenarios, dbt)
        enroll(empty, [7])
        pass_course(empty, 7, PASSED_AT)
        load(empty, Batch("good", MONDAY, GOOD))
        dbt(*BUILD)

    scenarios.stand("one pass", make)
    return warehouse


def test_a_broken_batch_leaves_the_last_good_number_until_it_is_accepted(
    built: Warehouse, dbt: Dbt
) -> None:
    """A test upstream fails, so the marts keep their rows and the watermark does not move."""
    before = completion(built)
    broken = ("{cut off",) * 600 + (line(7, "2026-03-09T06:30:00+00:00"),) * 400
    load(built, Batch("broken", MONDAY + timedelta(hours=1), broken))

    with pytest.raises(AssertionError, match="assert_quarantined_share_is_small"):
        dbt(*BUILD)
    assert completion(built) == before

    dbt(*BUILD, "--vars", "{quarantine_error_share: 0.9}")
    after = completion(built)
    assert after["computed_through"] == datetime(2026, 3, 9, 6, 20)
    assert after["learning_time_seconds"] == 600


def test_a_row_that_no_run_would_find_holds_everything_back_until_it_is_repaired(
    built: Warehouse, dbt: Dbt
) -> None:
    """Increments follow load time: a line without one would be lost silently."""
    before = published(built)
    later = Batch("later", MONDAY + timedelta(hours=1), (line(7, "2026-03-09T06:30:00+00:00"),))
    load(built, later)
    built.execute(
        "insert into raw.tracking.tracking_logs (line, file_name) select ?, 'by hand'",
        line(7, "2026-03-09T05:40:00+00:00", "page_close"),
    )

    with pytest.raises(AssertionError, match="tracking_logs_loaded_at_is_filled"):
        dbt(*BUILD)
    assert published(built) == before

    built.execute(
        "update raw.tracking.tracking_logs set loaded_at = ? where loaded_at is null",
        (MONDAY + timedelta(hours=2)).replace(tzinfo=None),
    )
    dbt(*BUILD)
    assert completion(built)["computed_through"] == datetime(2026, 3, 9, 6, 20)
    (day,) = built.rows("select learning_time_seconds from analytics.marts.learning_time")
    assert day == {"learning_time_seconds": 2400}


def test_a_few_bad_lines_stop_nothing(built: Warehouse, dbt: Dbt) -> None:
    lines = ("{cut off",) * 10 + tuple(
        line(7, f"2026-03-09T06:{minute:02}:{second:02}+00:00")
        for minute in range(20)
        for second in range(60)
    )
    load(built, Batch("later", MONDAY + timedelta(hours=1), lines))

    dbt(*WITH_EVERY_TEST)

    assert completion(built)["computed_through"] == datetime(2026, 3, 9, 6, 9, 59)


def test_the_watermark_stands_still_while_nothing_is_loaded(built: Warehouse, dbt: Dbt) -> None:
    before = completion(built)
    dbt(*BUILD)
    assert completion(built) == before
    assert before["computed_through"] == datetime(2026, 3, 9, 5, 10)


def test_a_late_line_changes_the_number_of_a_completion(built: Warehouse, dbt: Dbt) -> None:
    assert completion(built)["learning_time_seconds"] == 600
    late = line(7, "2026-03-09T04:40:00+00:00", "load_video")
    load(built, Batch("late", MONDAY + timedelta(days=1), (late,)))

    dbt(*BUILD)

    assert completion(built)["learning_time_seconds"] == 1800
    assert completion(built)["first_activity_at"] == datetime(2026, 3, 9, 4, 40)


def completion(warehouse: Warehouse) -> dict[str, Any]:
    rows = warehouse.rows("select * from analytics.marts.completion_learning_time")
    assert len(rows) == 1
    return rows[0]


def published(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    """Everything that a consumer reads."""
    return {
        mart: warehouse.rows(f"select * from analytics.marts.{mart} order by 1, 2, 3")
        for mart in ("completion_learning_time", "learning_time", "learning_time_watermark")
    }
