"""Ways in which an increment loses lines. Each has happened to someone.

The usual shortcut of an incremental model, ``event_at > max(event_at)``, fails the first five
(tests/mutations proves it); the others are for one that builds too few days again. Each test
compares all days with what the definition says.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.dbt.scenario import Batch
from tests.learning_time.models import Models
from tests.learning_time.timelines import SECOND, Unit, at
from tests.reference import learning_time

MINUTE = 60 * SECOND
LOADED_AT = datetime(2026, 3, 5, 6, tzinfo=UTC)


def arrive(models: Models, *arrivals: tuple[Unit, tuple[int, ...]]) -> None:
    """Build after each arrival: these events (by index) of the unit, an hour after the last."""
    models.forget()
    for number, (unit, indexes) in enumerate(arrivals):
        lines = unit.lines()
        loaded_at = LOADED_AT + timedelta(hours=number)
        models.load(Batch(f"part-{number}", loaded_at, tuple(lines[one] for one in indexes)))
        models.run()


def expected(*units: Unit) -> object:
    return {
        one.key: {
            day: (found.microseconds, found.event_count, found.session_count)
            for (_, _, day), found in learning_time.days(one.events()).items()
        }
        for one in units
    }


def test_an_event_that_arrives_late_counts(models: Models) -> None:
    """It joins what were two sessions."""
    unit = Unit(1, (0, 25 * MINUTE, 50 * MINUTE))
    arrive(models, (unit, (0, 2)), (unit, (1,)))
    assert models.days() == expected(unit)


def test_a_gap_between_two_batches_counts(models: Models) -> None:
    """The first event of the second batch has its predecessor in the first one."""
    unit = Unit(1, (0, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE))
    arrive(models, (unit, (0, 1)), (unit, (2, 3)))
    assert models.days() == expected(unit)


def test_an_event_at_the_newest_time_counts(models: Models) -> None:
    """Of two events at one instant the second came in a later batch; so did one of a stranger."""
    unit, stranger = Unit(1, (0, 10 * MINUTE, 10 * MINUTE)), Unit(2, (10 * MINUTE,))
    arrive(models, (unit, (0, 1)), (unit, (2,)), (stranger, (0,)))
    assert models.days() == expected(unit, stranger)


def test_files_that_load_out_of_order_count(models: Models) -> None:
    """The day before yesterday comes after yesterday."""
    day = 24 * 60 * MINUTE
    unit = Unit(1, (-day, 10 * MINUTE - day, 0, 10 * MINUTE))
    arrive(models, (unit, (2, 3)), (unit, (0, 1)))
    assert models.days() == expected(unit)


def test_one_clock_ahead_stops_nothing(models: Models) -> None:
    """The first event is 50 minutes ahead of its load, which is let through; the others follow."""
    ahead = (LOADED_AT - at(0)) // timedelta(microseconds=1) + 50 * MINUTE
    fast, others = Unit(1, (ahead,)), Unit(2, (ahead - 30 * MINUTE, ahead - 20 * MINUTE))
    arrive(models, (fast, (0,)), (others, (0, 1)))
    assert models.days() == expected(fast, others)


DAY = 24 * 60 * MINUTE
"""The units below have events 10 minutes before or after midnights."""


def test_an_event_after_midnight_counts_on_the_day_before(models: Models) -> None:
    """It ends a gap that began there."""
    unit = Unit(1, (-10 * MINUTE, 10 * MINUTE))
    arrive(models, (unit, (0,)), (unit, (1,)))
    assert models.days() == expected(unit)


def test_a_late_line_leaves_sessions_across_midnight_whole(models: Models) -> None:
    """It touches its own day, whose first and last gap lie on two days each."""
    times = (-10 * MINUTE, 10 * MINUTE, DAY // 2, DAY - 10 * MINUTE, DAY + 10 * MINUTE)
    unit = Unit(1, times)
    arrive(models, (unit, (0, 1, 3, 4)), (unit, (2,)))
    assert models.days() == expected(unit)
