"""Ways in which an increment can lose lines, all of which have happened in practice.

The usual shortcut of an incremental model, ``event_at > max(event_at)``, fails the first five
(tests/mutations proves it); the others catch a model that rebuilds too few days. Each test compares
all days of its units with the definition. The units are in one warehouse, weeks apart, so that a
build for one of them touches no day of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.dbt.scenario import Batch
from tests.learning_time.models import Day, Models
from tests.learning_time.timelines import SECOND, Unit, at
from tests.reference import learning_time

MINUTE = 60 * SECOND
WEEK = 7 * 24 * 60 * MINUTE
DAY = WEEK // 7
LOADED_AT = datetime(2026, 3, 5, 6, tzinfo=UTC)
AHEAD = (LOADED_AT - at(0)) // timedelta(microseconds=1) + 50 * MINUTE
"""How far a device's clock is ahead, which is accepted."""


def weeks_ago(weeks: int, user_id: int, *times: int) -> Unit:
    return Unit(user_id, tuple(time - weeks * WEEK for time in times))


LATE = weeks_ago(10, 1, 0, 25 * MINUTE, 50 * MINUTE)
BETWEEN = weeks_ago(9, 2, 0, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE)
NEWEST = weeks_ago(8, 3, 0, 10 * MINUTE, 10 * MINUTE)
STRANGER = weeks_ago(8, 4, 10 * MINUTE)
OUT_OF_ORDER = weeks_ago(7, 5, -DAY, 10 * MINUTE - DAY, 0, 10 * MINUTE)
FAST = weeks_ago(0, 6, AHEAD)
BEHIND_FAST = weeks_ago(0, 7, AHEAD - 30 * MINUTE, AHEAD - 20 * MINUTE)
OVER_MIDNIGHT = weeks_ago(6, 8, -10 * MINUTE, 10 * MINUTE)
BETWEEN_MIDNIGHTS = weeks_ago(
    *(5, 9, -10 * MINUTE, 10 * MINUTE),
    *(DAY // 2, DAY - 10 * MINUTE, DAY + 10 * MINUTE),
)
ARRIVALS: tuple[tuple[tuple[Unit, tuple[int, ...]], ...], ...] = (
    (
        *((LATE, (0, 2)), (BETWEEN, (0, 1)), (NEWEST, (0, 1)), (OUT_OF_ORDER, (2, 3))),
        *((FAST, (0,)), (OVER_MIDNIGHT, (0,)), (BETWEEN_MIDNIGHTS, (0, 1, 3, 4))),
    ),
    (
        *((LATE, (1,)), (BETWEEN, (2, 3)), (NEWEST, (2,)), (OUT_OF_ORDER, (0, 1))),
        *((BEHIND_FAST, (0, 1)), (OVER_MIDNIGHT, (1,))),
    ),
    ((STRANGER, (0,)),),
    # Alone, so that its neighbors are not read only because of other units' days.
    ((BETWEEN_MIDNIGHTS, (2,)),),
)
"""Which events of which units arrive together, by index."""
Days = Mapping[tuple[int, str], Mapping[date, Day]]


@pytest.fixture(scope="module")
def days(models: Models) -> Days:
    """All days after one build per arrival, each an hour after the last."""
    models.forget()
    for number, arrival in enumerate(ARRIVALS):
        lines = [unit.lines()[one] for unit, indexes in arrival for one in indexes]
        loaded_at = LOADED_AT + timedelta(hours=number)
        models.load(Batch(f"part-{number}", loaded_at, tuple(lines)))
        models.run()
    return models.days()


def expected(unit: Unit) -> object:
    return {
        day: (found.microseconds, found.event_count, found.session_count)
        for (_, _, day), found in learning_time.days(unit.events()).items()
    }


def test_an_event_that_arrives_late_counts(days: Days) -> None:
    """It joins what were two sessions."""
    assert days[LATE.key] == expected(LATE)


def test_a_gap_between_two_batches_counts(days: Days) -> None:
    """The first event of the second batch has its predecessor in the first one."""
    assert days[BETWEEN.key] == expected(BETWEEN)


def test_an_event_at_the_newest_time_counts(days: Days) -> None:
    """The second of two simultaneous events came in a later batch, as did another learner's."""
    assert days[NEWEST.key] == expected(NEWEST)
    assert days[STRANGER.key] == expected(STRANGER)


def test_files_that_load_out_of_order_count(days: Days) -> None:
    """The day before yesterday is loaded after yesterday."""
    assert days[OUT_OF_ORDER.key] == expected(OUT_OF_ORDER)


def test_one_clock_ahead_stops_nothing(days: Days) -> None:
    """The first event is 50 minutes ahead of its load, which is accepted; the others follow."""
    assert days[FAST.key] == expected(FAST)
    assert days[BEHIND_FAST.key] == expected(BEHIND_FAST)


def test_an_event_after_midnight_counts_on_the_day_before(days: Days) -> None:
    """It ends a gap that began there."""
    assert days[OVER_MIDNIGHT.key] == expected(OVER_MIDNIGHT)


def test_a_late_line_leaves_sessions_across_midnight_whole(days: Days) -> None:
    """It changes its own day, whose first and last gaps span two days each."""
    assert days[BETWEEN_MIDNIGHTS.key] == expected(BETWEEN_MIDNIGHTS)
