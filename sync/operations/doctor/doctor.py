"""The operation: all checks, in the order that fails earliest, and their combined result."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from sync.operations.doctor import compiled, connect, meaning, rights, sensor, setup
from sync.operations.doctor.check import Check, Result, Verdict, examine
from sync.operations.operation import Look, Report

WIDTH = 79
INDENT = " " * 11
CHECKS: Sequence[Check] = (
    *connect.CHECKS,
    *rights.CHECKS,
    *compiled.CHECKS,
    *meaning.CHECKS,
    *sensor.CHECKS,
    *setup.CHECKS,
)
"""Checks that need a running warehouse are grouped: dbt's wakes for *Connect* and the types of
columns, that of deliveries for the pins, once each. With the minute until they suspend, that is
2 × 75 s of X-Small, 0.042 credits; the rest is metadata and EXPLAIN."""


class Doctor(Look):
    """Check that this installation can work: connection, rights, SQL, meaning, sensor and settings.

    Read-only. Prints one line per check, with its fix. On Snowflake it takes less than three
    minutes and 0.1 credits.
    """

    name: ClassVar[str] = "doctor"

    def look(self, environ: Mapping[str, str]) -> Report:
        """Run all checks; failed if one of them failed.

        Raises:
            ConfigurationError: the settings do not say which warehouse it is.
        """
        results, visit = examine(CHECKS, environ)
        counts = Counter(one.finding.verdict for one in results)
        said = ", ".join(f"{counts[one]} {one}" for one in Verdict)
        return Report(
            document={
                "checks": [one.as_dict() for one in results],
                "verdicts": {one.value: counts[one] for one in Verdict},
                "statements": visit.statements,
                "seconds": round(visit.seconds, 1),
            },
            lines=list(_lines(results)),
            outcome=(
                f"{len(results)} checks: {said}; {visit.statements} statements, "
                f"{visit.seconds:.0f} s"
            ),
            has_failed=bool(counts[Verdict.FAILED]),
        )


def _lines(results: Sequence[Result]) -> Iterator[str]:
    """A text for each check, and the name of its section before the first of them."""
    section = ""
    for one in results:
        if one.check.section != section:
            section = one.check.section
            yield section
        found = one.finding
        yield "\n".join(
            textwrap.fill(
                text,
                WIDTH,
                initial_indent=first,
                subsequent_indent=INDENT,
                break_on_hyphens=False,
            )
            for first, text in (
                (f"  {found.verdict:<9}", f"{one.check.name}: {found.detail}"),
                (INDENT, f"To do: {found.repair}" if found.repair else ""),
            )
            if text
        )
