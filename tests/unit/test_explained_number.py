"""One learner's number adds up from sessions and days, or the contradiction is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sync.operations.explain.number import Day, Number, Session, plain, reckon
from tests.learning_time.timelines import GAPS, MIDNIGHT, STARTS, Unit, at, model_sessions, unit
from tests.reference import learning_time

UNITS = st.builds(
    unit, st.just(1), st.sampled_from(STARTS), st.lists(st.sampled_from(GAPS), max_size=8)
)
PASSES = st.one_of(st.none(), st.sampled_from(STARTS), st.sampled_from(GAPS))


def explained(studied: Unit, passed: int | None) -> Number:
    """What the models would contain for a unit, assembled from the reference."""
    sessions = [
        Session(
            started_at=at(first).replace(tzinfo=None),
            ended_at=at(last).replace(tzinfo=None),
            event_count=len(inside := [one for one in studied.times if first <= one <= last]),
            late_event_count=0,
            line_count=len(inside),
            microseconds=last - first,
            counted_microseconds=_before(inside, passed),
        )
        for first, last in model_sessions(studied.times)
    ]
    days = [
        Day(
            date=key[2],
            microseconds=one.microseconds,
            seconds=one.seconds,
            event_count=one.event_count,
            session_count=one.session_count,
        )
        for key, one in learning_time.days(studied.events()).items()
    ]
    if passed is None:
        return reckon(sessions, days)
    return reckon(
        sessions,
        days,
        completed_on=at(passed).date(),
        seconds=learning_time.seconds_to_completion(iter(studied.events()), at(passed)),
    )


def _before(times: Sequence[int], passed: int | None) -> int:
    ends = [(begin, end if passed is None else min(end, passed)) for begin, end in pairwise(times)]
    return sum(max(0, end - begin) for begin, end in ends)


@given(UNITS, PASSES)
def test_sessions_and_days_add_up_to_the_number_whatever_the_timeline(
    studied: Unit, passed: int | None
) -> None:
    number = explained(studied, passed)
    assert number.contradictions == []
    assert sum(one.seconds for one in number.days) == number.seconds
    assert sum(one.microseconds for one in number.days) == number.microseconds
    assert number.microseconds + number.rounding_microseconds == number.seconds * 1_000_000
    assert number.cut_microseconds == sum(one.cut_microseconds for one in number.days)
    assert abs(number.rounding_microseconds) <= 500_000 * max(1, len(number.days))


@given(UNITS, PASSES, st.data())
def test_a_model_that_is_out_of_step_is_told(
    studied: Unit, passed: int | None, data: st.DataObject
) -> None:
    """One stored value differs: a session or the number itself."""
    number = explained(studied, passed)
    days = [one.day for one in number.days]
    on = None if passed is None else at(passed).date()
    wrong = list(number.sessions)
    index = data.draw(st.integers(0, len(wrong) - 1))
    longer = wrong[index].microseconds + 1
    wrong[index] = replace(wrong[index], microseconds=longer)
    told = reckon(wrong, days, completed_on=on, seconds=number.seconds).contradictions
    assert any("microseconds" in one for one in told)
    if on is not None:
        told = reckon(number.sessions, days, completed_on=on, seconds=number.seconds + 1)
        assert any("counts" in one for one in told.contradictions)


def test_the_cut_at_the_completion_is_told_apart_from_the_rounding() -> None:
    """600.4 s, of which the completion leaves 200.4 s on its day."""
    studied = Unit(1, (0, 600_400_000))
    number = explained(studied, 200_400_000)
    assert (number.seconds, plain(number.cut_microseconds)) == (200, "400")
    assert plain(number.rounding_microseconds) == "-0.4"
    (day,) = number.days
    assert (day.day.date, day.seconds, day.day.seconds) == (MIDNIGHT.date(), 200, 600)
    before = explained(studied, -1)
    assert (before.seconds, plain(before.cut_microseconds)) == (0, "600.4")
    assert timedelta(microseconds=before.microseconds) == timedelta()
