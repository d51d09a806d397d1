"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

_STEPS = ((172_800, 86_400, "d"), (3_600, 3_600, "h"), (60, 60, "min"))
"""From how many seconds on a unit is used, and how many it has."""


def duration(seconds: float | None) -> str:
    """``45 s``, ``1.5 min``, ``12 h``; an en dash for None."""
    if seconds is None:
        return "–"
    for least, size, unit in _STEPS:
        if seconds >= least:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds)} s"


def share(value: float | None) -> str:
    """A share from 0 to 1 in percent; never 100 % or 0 % of what is not all or nothing."""
    if value is None:
        return "–"
    percent = value * 100
    if 99.9 <= percent < 100:
        return "> 99.9 %"
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.1f} %" if 99 <= percent < 100 else f"{_short(percent)} %"


def moment(at: datetime | None) -> str:
    """A moment in UTC to the minute; an en dash for None."""
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M}"


def day_and_time(at: datetime | None) -> str:
    """The same without the year, for a narrow column."""
    return "–" if at is None else f"{at.day} {at:%b %H:%M}"


def span_labels(bounds: Sequence[int]) -> list[str]:
    """Texts of the buckets below each bound in seconds, and of the one from the last on."""
    below = ["0" if bound == 1 else f"< {duration(bound)}" for bound in bounds]
    return [*below, f"≥ {duration(bounds[-1])}"]


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
