"""What ``make dev`` shows of Dagster's output: what a person wants to read while it runs.

Dagster, its daemon and each run write to one terminal: dbt's progress, the selection of every
model, tracebacks of libraries. All of that is in a file, and what belongs to a run is on its page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} - (?P<who>\S+) - (?P<level>[A-Z]+) - ",
)
"""How a line of Dagster's log begins, without its colors."""
COLORS = re.compile(r"\x1b\[[0-9;]*m")
LOUD = frozenset({"WARNING", "ERROR", "CRITICAL"})
DAEMON = "dagster.daemon"
LONGEST = 300
"""Characters of a line; a selection of models has thousands."""


def worth_showing(lines: Iterable[str]) -> Iterator[str]:
    """Lines of the log, cut to ``LONGEST``, without what the daemon says of itself; and what
    follows an error, such as its traceback."""
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
    """Write all of the output to a file, and what is worth it to the terminal, until it ends."""
    with log.open("w", encoding="utf-8", buffering=1) as file:

        def kept() -> Iterator[str]:
            for line in output:
                file.write(line)
                yield line

        for line in worth_showing(kept()):
            print(line, file=terminal, flush=True)
