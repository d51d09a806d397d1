"""What an increment reads again and what it skips: three builds over separate learners.

``test_any_history`` shows that the numbers do not depend on how lines arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.dbt.scenario import RUN, Batch, line
from tests.learning_time.models import Day, Models

DAY = date(2026, 3, 4)
MONDAY = datetime(2026, 3, 9, 6, 0, tzinfo=UTC)
UNTOUCHED, JOINED, GROWN, WITHIN, BEYOND, NAMELESS = range(7, 13)
Days = Mapping[date, Day]


def at(user_id: int, *times: str) -> tuple[str, ...]:
    return tuple(line(user_id, f"2026-03-{time}:00+00:00") for time in times)


@dataclass(frozen=True)
class Build:
    """The models' content after a build."""

    days: Mapping[int, Days]
    stamps: Mapping[int, datetime]
    """Newest processing time of a learner's days."""
    events: Mapping[int, int]
    """Rows of a learner in the model that reads the lines."""


Builds = tuple[Build, Build, Build]


def build(models: Models, *, late_arrival_days: int = 3) -> Build:
    models.run(late_arrival_days=late_arrival_days)
    stamps = models.warehouse.rows(
        "select user_id, max(processed_at) as found"
        " from analytics.intermediate.int_learning_time_daily group by user_id"
    )
    events = models.warehouse.rows(
        "select user_id, count(*) as found"
        " from analytics.intermediate.int_tracking_events group by user_id"
    )
    return Build(
        {user_id: days for (user_id, run), days in models.days().items() if run == RUN},
        {int(row["user_id"]): row["found"] for row in stamps},
        {int(row["user_id"]): int(row["found"]) for row in events},
    )


def load_without_a_name(models: Models, lines: tuple[str, ...]) -> None:
    models.warehouse.bulk(
        "insert into raw.tracking.tracking_logs "
        "select value:line::varchar, null, '2026-03-09 06:00:00'::timestamp_ntz "
        "from table(flatten(input => parse_json(?)))",
        ({"line": one} for one in lines),
    )


@pytest.fixture(scope="module")
def builds(models: Models) -> Builds:
    """A first build, an increment, and one that looks back for more than a year."""
    models.forget()
    untouched = at(UNTOUCHED, "04T09:00", "04T09:10", "04T10:00", "04T23:50", "05T00:10")
    models.load(
        Batch("one", MONDAY, (*untouched, *at(JOINED, "04T09:00", "04T09:50"))),
        Batch("grown", MONDAY, at(GROWN, "04T09:00")),
    )
    load_without_a_name(models, at(NAMELESS, "04T09:00"))
    first = build(models)

    models.load(
        Batch("two", MONDAY + timedelta(hours=1), at(JOINED, "04T09:25")),
        Batch("grown", MONDAY, at(GROWN, "04T09:10", "04T09:20")),
        Batch("within", MONDAY - timedelta(days=2), at(WITHIN, "04T09:00", "04T09:20")),
        Batch("beyond", MONDAY - timedelta(days=4), at(BEYOND, "04T09:00", "04T09:20")),
    )
    load_without_a_name(models, at(NAMELESS, "04T09:10"))
    return first, build(models), build(models, late_arrival_days=400)


def test_only_the_learners_of_new_lines_are_computed_again(builds: Builds) -> None:
    first, second, _ = builds
    assert second.stamps[UNTOUCHED] == first.stamps[UNTOUCHED]
    assert second.stamps[JOINED] != first.stamps[JOINED]
    assert second.days[UNTOUCHED] == first.days[UNTOUCHED]
    assert first.days[JOINED] == {DAY: (0, 2, 2)}
    assert second.days[JOINED] == {DAY: (3_000_000_000, 3, 1)}


def test_a_batch_that_grew_after_it_was_read_is_read_again(builds: Builds) -> None:
    """A load that becomes visible in two parts has the same load time for both."""
    first, second, _ = builds
    assert first.days[GROWN] == {DAY: (0, 1, 1)}
    assert second.days[GROWN] == {DAY: (1_200_000_000, 3, 1)}
    assert second.events[GROWN] == 3


def test_a_batch_with_an_older_load_time_is_found_within_the_lookback(builds: Builds) -> None:
    """And a batch beyond it only by a run with a wider lookback, without a full refresh."""
    _, second, third = builds
    assert second.days[WITHIN] == {DAY: (1_200_000_000, 2, 1)}
    assert BEYOND not in second.days
    assert third.days == {**second.days, BEYOND: {DAY: (1_200_000_000, 2, 1)}}


def test_lines_without_a_file_name_are_read_once(builds: Builds) -> None:
    """NULL keys never match a delete: a batch without a name would be inserted twice."""
    _, second, third = builds
    assert (second.events[NAMELESS], third.events[NAMELESS]) == (2, 2)
    assert second.days[NAMELESS] == {DAY: (600_000_000, 2, 1)}


def test_a_copied_row_is_seen_while_its_day_was_changed_lately(
    builds: Builds, models: Models
) -> None:
    """Row-level data tests do not read a year of rows at each build."""
    tests = ("test", "--select", "int_learning_gaps,test_type:generic")
    gaps = "analytics.intermediate.int_learning_gaps"
    last_day = "activity_date = '2026-03-05'::date"
    models.warehouse.execute(f"insert into {gaps} select * from {gaps} where {last_day}")

    with pytest.raises(AssertionError, match="unique_combination_of_columns_int_learning_gaps"):
        models.invoke(*tests)

    # Longer ago than `late_arrival_days` before the newest line.
    models.warehouse.execute(
        f"update {gaps} set processed_at = dateadd(day, -4, processed_at) where {last_day}"
    )
    models.invoke(*tests)
