"""Units of learning time: gaps from a set of edge values, as events and as log lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise

from tests.dbt.scenario import RUN, line
from tests.reference.learning_time import Event

SECOND = 1_000_000
TIMEOUT = 1_800 * SECOND
DAY = 86_400 * SECOND
GAPS = (
    *(0, 1, SECOND // 2, 60 * SECOND),
    *(TIMEOUT - SECOND, TIMEOUT - 1, TIMEOUT, TIMEOUT + 1, TIMEOUT + SECOND),
    *(3 * 3_600 * SECOND, 2 * DAY),
)
"""Microseconds: zero, the minimum, fractions, both sides of the timeout, hours, days."""
MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
STARTS = (-10 * 3_600 * SECOND, -TIMEOUT, -1_000 * SECOND, -SECOND * 3 // 10, -1, 0, 3 * 3_600_003)
"""Microseconds after ``MIDNIGHT``."""
NAMES = ("play_video", "pause_video", "page_close", "seq_next")


@dataclass(frozen=True)
class Unit:
    """Events of one learner in one course run."""

    user_id: int
    times: tuple[int, ...]
    """Microseconds after ``MIDNIGHT``, ascending, with one event each."""
    run: str = RUN

    @property
    def key(self) -> tuple[int, str]:
        return self.user_id, self.run

    def renamed(self, user_id: int, *times: int) -> Unit:
        """The same learner with another id, and other times if given."""
        return replace(self, user_id=user_id, times=tuple(sorted(times or self.times)))

    def shifted(self, user_id: int, by: int) -> Unit:
        return self.renamed(user_id, *(time + by for time in self.times))

    def events(self) -> list[Event]:
        """Events for the reference."""
        return [
            Event(self.user_id, self.run, at(time), name_of(index), payload_of(index))
            for index, time in enumerate(self.times)
        ]

    def lines(self, **changes: object) -> list[str]:
        """Log lines. The number in the payload distinguishes equal times."""
        context = {"user_id": self.user_id, "course_id": self.run, "path": "/event"}
        return [
            line(
                self.user_id,
                at(time).isoformat(timespec="microseconds"),
                name_of(index),
                **{"event": payload_of(index), "context": context, **changes},
            )
            for index, time in enumerate(self.times)
        ]


def unit(user_id: int, start: int, gaps: Sequence[int]) -> Unit:
    """The unit that starts at ``start`` and has these gaps."""
    return Unit(user_id, tuple(accumulate(gaps, initial=start)))


def at(time: int) -> datetime:
    """Aware, UTC."""
    return MIDNIGHT + timedelta(microseconds=time)


def name_of(index: int) -> str:
    return NAMES[index % len(NAMES)]


def payload_of(index: int) -> str:
    return f'{{"n": {index}}}'


def model_total(times: Sequence[int], timeout: int = TIMEOUT) -> int:
    """Learning time in microseconds, straight from the definition."""
    return sum(gap for gap in gaps_of(times) if gap <= timeout)


def model_sessions(times: Sequence[int], timeout: int = TIMEOUT) -> list[tuple[int, int]]:
    """Start and end of each session."""
    found: list[tuple[int, int]] = []
    for time in sorted(times):
        if found and time - found[-1][1] <= timeout:
            found[-1] = found[-1][0], time
        else:
            found.append((time, time))
    return found


def gaps_of(times: Sequence[int]) -> list[int]:
    return [after - before for before, after in pairwise(sorted(times))]
