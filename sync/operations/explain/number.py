"""Why the number is what it is: sessions and days that add up to it, or contradictions. Pure.

Nothing here measures time. The models have measured it; this only adds up what they hold, so a sum
that does not match is a contradiction between models, never a second opinion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

SECOND = 1_000_000
"""Microseconds."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """Events with no pause over the session timeout between them; times are naive UTC."""

    started_at: datetime
    ended_at: datetime
    """End of what counts, which may be after its last event."""
    event_count: int
    late_event_count: int
    """Of these: after the completion."""
    line_count: int
    """Lines that these events were read from, copies included."""
    microseconds: int
    counted_microseconds: int
    """Of these: up to the completion; all of them without one."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """A row of the daily model."""

    date: date
    microseconds: int
    seconds: int
    """The same, rounded once."""
    event_count: int
    session_count: int
    """Sessions that start on it."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What a day adds to the number."""

    day: Day
    microseconds: int
    seconds: int

    @property
    def cut_microseconds(self) -> int:
        """The part of the day after the completion."""
        return self.day.microseconds - self.microseconds


@dataclass(frozen=True, kw_only=True)
class Number:
    """The number, its sessions, and the rounded days that add up to it."""

    seconds: int
    sessions: Sequence[Session]
    days: Sequence[Counted]

    @property
    def microseconds(self) -> int:
        """The same before rounding."""
        return sum(one.counted_microseconds for one in self.sessions)

    @property
    def cut_microseconds(self) -> int:
        """What is excluded because it is after the completion."""
        return sum(one.microseconds for one in self.sessions) - self.microseconds

    @property
    def rounding_microseconds(self) -> int:
        """What rounding each day has added or removed."""
        return self.seconds * SECOND - self.microseconds

    @property
    def contradictions(self) -> list[str]:
        """Where the models disagree; empty if the number adds up."""
        found = [
            f"{one.day.date} counts {one.seconds:,} s, of {plain(one.microseconds)} s "
            f"in {plain(one.day.microseconds)} s"
            for one in self.days
            if one.seconds != rounded(one.microseconds)
            or not 0 <= one.microseconds <= one.day.microseconds
        ]
        for name, of_sessions, of_days in (
            (
                "microseconds",
                [one.microseconds for one in self.sessions],
                [one.day.microseconds for one in self.days],
            ),
            (
                "events",
                [one.event_count for one in self.sessions],
                [one.day.event_count for one in self.days],
            ),
        ):
            if sum(of_sessions) != sum(of_days):
                found.append(
                    f"the sessions have {sum(of_sessions):,} {name}, the days {sum(of_days):,}"
                )
        return found


def reckon(
    sessions: Sequence[Session],
    days: Sequence[Day],
    *,
    completed_on: date | None = None,
    seconds: int | None = None,
) -> Number:
    """The number with what each day adds to it.

    ``seconds`` is what the models hold up to the completion, which was on the day
    ``completed_on``; without a completion all days count. Days before it count as in the daily
    model, and the rest of ``seconds`` and of the sessions belongs to its own day.
    """
    before = [one for one in days if completed_on is None or one.date < completed_on]
    total = sum(one.seconds for one in before) if seconds is None else seconds
    counted = [
        Counted(day=one, microseconds=one.microseconds, seconds=one.seconds) for one in before
    ]
    if completed_on is not None:
        empty = Day(date=completed_on, microseconds=0, seconds=0, event_count=0, session_count=0)
        of_completion = Counted(
            day=next((one for one in days if one.date == completed_on), empty),
            microseconds=sum(one.counted_microseconds for one in sessions)
            - sum(one.microseconds for one in before),
            seconds=total - sum(one.seconds for one in before),
        )
        if of_completion != Counted(day=empty, microseconds=0, seconds=0):
            counted.append(of_completion)
        counted += [
            Counted(day=one, microseconds=0, seconds=0) for one in days if one.date > completed_on
        ]
    return Number(seconds=total, sessions=sessions, days=counted)


def rounded(microseconds: int) -> int:
    """Whole seconds, half up."""
    return (microseconds + SECOND // 2) // SECOND


def plain(microseconds: int) -> str:
    """Seconds to the microsecond, without trailing zeros: ``1,800`` or ``0.5``."""
    whole, rest = divmod(abs(microseconds), SECOND)
    fraction = f".{rest:06}".rstrip("0").rstrip(".")
    return f"{'-' if microseconds < 0 else ''}{whole:,}{fraction}"
