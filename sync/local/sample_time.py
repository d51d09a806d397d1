"""Times of the sample data: whole microseconds since 1970, and how the LMS writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

MICROSECONDS = 1_000_000
HOUR = 3_600 * MICROSECONDS
DAY = 24 * HOUR


def write_time(at: int) -> str:
    """Microseconds since 1970 as the LMS writes them: no fraction when it is zero."""
    seconds, fraction = divmod(at, MICROSECONDS)
    text = _second_text(seconds)
    return f"{text}.{fraction:06}+00:00" if fraction else f"{text}+00:00"


def to_microseconds(moment: datetime) -> int:
    """Exact; float seconds would lose the last digit."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _second_text(second: int) -> str:
    day, rest = divmod(second, 86_400)
    minutes, seconds = divmod(rest, 60)
    return f"{_day_text(day)}T{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


@cache
def _day_text(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")
