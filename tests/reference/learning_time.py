"""The rule of learning time in plain Python, written from its definition, not from the SQL.

Whole microseconds throughout; nothing is rounded before the day row. Deliberately slow, so that
each function is obviously equivalent to the definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Literal

SESSION_TIMEOUT = timedelta(minutes=30)
MICROSECOND = timedelta(microseconds=1)
NOTHING = timedelta()

Reading = Literal["drop", "cap"]
"""How a long gap counts; the values of the var ``long_gap_rule``."""

Unit = tuple[int, str]
"""Learner and course run."""


@dataclass(frozen=True, order=True)
class Event:
    """A learning event; equal ones are duplicates."""

    user_id: int
    courserun_key: str
    at: datetime
    """Aware, UTC."""
    name: str
    payload: str

    @property
    def unit(self) -> Unit:
        return self.user_id, self.courserun_key


@dataclass(frozen=True)
class Day:
    """One learner's activity in one course run on one UTC day."""

    microseconds: int
    event_count: int
    session_count: int

    @property
    def seconds(self) -> int:
        """Rounded half up."""
        return (2 * self.microseconds + 1_000_000) // 2_000_000


def days(
    events: Iterable[Event],
    *,
    timeout: timedelta = SESSION_TIMEOUT,
    reading: Reading = "drop",
    tail: timedelta = NOTHING,
) -> Mapping[tuple[int, str, date], Day]:
    """Learning time per learner, course run and UTC day, days of 0 seconds included."""
    time: dict[tuple[int, str, date], timedelta] = {}
    seen: dict[tuple[int, str, date], int] = {}
    starts: dict[tuple[int, str, date], int] = {}
    for unit, timeline in _timelines(events).items():
        for session, pause in _sessions(timeline, timeout):
            first = (*unit, session[0].date())
            starts[first] = starts.get(first, 0) + 1
            for at in session:
                today = (*unit, at.date())
                time.setdefault(today, NOTHING)
                seen[today] = seen.get(today, 0) + 1
            for begin, end in _stretches(session, pause, timeout, reading, tail):
                for day, part in _split(begin, end):
                    key = (*unit, day)
                    time[key] = time.get(key, NOTHING) + part
    return {
        key: Day(time[key] // MICROSECOND, seen.get(key, 0), starts.get(key, 0)) for key in time
    }


def seconds_to_completion(
    events: Iterable[Event],
    passed_at: datetime,
    *,
    timeout: timedelta = SESSION_TIMEOUT,
    reading: Reading = "drop",
    tail: timedelta = NOTHING,
) -> int:
    """Whole seconds of one learner in one course run up to ``passed_at``.

    A gap that is open at that time counts up to it, if it counts at all.
    """
    total: dict[date, timedelta] = {}
    for timeline in _timelines(events).values():
        for session, pause in _sessions(timeline, timeout):
            for begin, end in _stretches(session, pause, timeout, reading, tail):
                for day, part in _split(begin, min(end, passed_at)):
                    total[day] = total.get(day, NOTHING) + part
    return sum(Day(part // MICROSECOND, 0, 0).seconds for part in total.values())


def _sessions(
    timeline: list[datetime], timeout: timedelta
) -> list[tuple[list[datetime], timedelta | None]]:
    """The sessions of a unit, each with the pause that follows it; None after the last one."""
    sessions: list[list[datetime]] = []
    for at in timeline:
        if not sessions or at - sessions[-1][-1] > timeout:
            sessions.append([])
        sessions[-1].append(at)
    pauses = [later[0] - earlier[-1] for earlier, later in pairwise(sessions)]
    return list(zip(sessions, [*pauses, None], strict=True))


def _stretches(
    session: list[datetime],
    pause: timedelta | None,
    timeout: timedelta,
    reading: Reading,
    tail: timedelta,
) -> list[tuple[datetime, datetime]]:
    """Start and end of what counts in and after one session."""
    after = timeout if reading == "cap" and pause is not None else tail
    return [*pairwise(session), (session[-1], session[-1] + after)]


def _timelines(events: Iterable[Event]) -> Mapping[Unit, list[datetime]]:
    """Times of each unit's distinct events, in order."""
    timelines: dict[Unit, list[datetime]] = {}
    for event in sorted(set(events)):
        timelines.setdefault(event.unit, []).append(event.at)
    return timelines


def _split(begin: datetime, end: datetime) -> list[tuple[date, timedelta]]:
    """The stretch, split at each midnight."""
    parts: list[tuple[date, timedelta]] = []
    while begin.date() < end.date():
        midnight = datetime.combine(begin.date() + timedelta(days=1), datetime.min.time(), UTC)
        parts.append((begin.date(), midnight - begin))
        begin = midnight
    if end > begin:
        parts.append((begin.date(), end - begin))
    return parts
