"""The retry schedule as the documents show it, made from the steps that are really used."""

from __future__ import annotations

from datetime import timedelta

from sync.domain.retry import STEPS


def words(span: timedelta) -> str:
    """A span as people say it: ``27 h 35 min 5 s``."""
    seconds = round(span.total_seconds())
    parts = [(seconds // 3600, "h"), (seconds % 3600 // 60, "min"), (seconds % 60, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "at once"


def schedule_table() -> str:
    """One line per attempt: the wait before it, and the time since the first one."""
    lines = ["| attempt | after the one before | since the first |", "|---|---|---|"]
    total = timedelta(0)
    for number, step in enumerate(STEPS, start=1):
        total += step
        lines.append(f"| {number} | {words(step)} | {words(total) if total else ''} |")
    return "\n".join(line.replace("|  |", "| |") for line in lines)
