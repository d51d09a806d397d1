"""The retry schedule as shown in the documents, generated from the actual steps."""

from __future__ import annotations

from datetime import datetime, timedelta

from sync.domain.retry import JITTER, STEPS

FIRST_AT = datetime(2026, 3, 30, 9)
"""A Monday."""


def words(span: timedelta) -> str:
    """A time span in words: ``27 h 35 min 5 s``."""
    seconds = round(span.total_seconds())
    parts = [(seconds // 3600, "h"), (seconds % 3600 // 60, "min"), (seconds % 60, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "none"


def schedule_table() -> str:
    """One line per attempt: the wait before it, and the time since the first one."""
    lines = ["| attempt | wait | since first attempt |", "|---|---|---|"]
    total = timedelta(0)
    for number, step in enumerate(STEPS, start=1):
        total += step
        lines.append(f"| {number} | {words(step)} | {words(total) if total else ''} |")
    return "\n".join(line.replace("|  |", "| |") for line in lines)


def clock_table() -> str:
    """The same with clock times for a first attempt on a Monday at nine, and the range of the
    jitter."""
    lines = [
        "| attempt | wait | since first attempt | time | earliest | latest |",
        "|---|---|---|---|---|---|",
    ]
    total = timedelta(0)
    for number, step in enumerate(STEPS, start=1):
        total += step
        times = [FIRST_AT + total * share for share in (1, 1 - JITTER, 1 + JITTER)]
        shown = " | ".join(f"{at:%A %H:%M:%S}" for at in times)
        lines.append(f"| {number} | {words(step)} | {words(total) if total else ''} | {shown} |")
    return "\n".join(line.replace("|  |", "| |") for line in lines)
