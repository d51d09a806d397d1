"""The part of Dagster's output that ``make dev`` shows: what is useful to read while it runs.

Dagster, its daemon and each run write to one terminal: dbt's progress, the selection of every
model, library tracebacks. All of it is in a file, and each run's output is on the run's page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} - (?P<who>\S+) - (?P<level>[A-Z]+) - ",
)
"""The start of a line of Dagster's log, without colors."""
COLORS = re.compile(r"\x1b\[[0-9;]*m")
LOUD = frozenset({"WARNING", "ERROR", "CRITICAL"})
DAEMON = "dagster.daemon"
LONGEST = 300
"""Maximum characters of a line; a selection of models has thousands."""


def worth_showing(lines: Iterable[str]) -> Iterator[str]:
    """Log lines, cut to ``LONGEST``, without the daemon's own messages, but with what follows an
    error, such as its traceback."""
    is_error = False
    for line in lines:
        text = COLORS.sub("", line.rstrip("\n"))
        found = LINE.match(text)
        if found is None:
            if is_error:
                yield text
            continue
        is_error = found["level"] in ("ERROR", "CRITICAL")
        if found["level"] in LOUD or not found["who"].startswith(DAEMON):
            yield text if is_error or len(text) <= LONGEST else f"{text[:LONGEST]} …"


def show(output: Iterable[str], log: Path, terminal: TextIO) -> None:
    """Write all output to a file and the useful part to the terminal, until the output ends."""
    with log.open("w", encoding="utf-8", buffering=1) as file:

        def kept() -> Iterator[str]:
            for line in output:
                file.write(line)
                yield line

        for line in worth_showing(kept()):
            print(line, file=terminal, flush=True)
