"""Commands in separate processes, and what still runs after they have exited."""

from __future__ import annotations

import os
import sys
from pathlib import Path

LTW = (sys.executable, "-c", "from sync.cli import main; main()")
"""The command line of the checkout under test, whatever is installed."""
PROC = Path("/proc")


def processes_of(directory: Path) -> list[str]:
    """Command lines of live processes with ``directory`` in their arguments or environment.

    This includes detached children. Only Linux shows this; elsewhere the list is empty.
    """
    mark = os.fsencode(directory)
    found = []
    for process in PROC.glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            continue  # it has ended meanwhile, or is not ours
        if (
            command
            and (mark in command or mark in environment)
            and int(process.name) != os.getpid()
        ):
            found.append(command.replace(b"\0", b" ").decode(errors="replace").strip())
    return found


def megabytes_of(directory: Path, mark: str) -> list[float]:
    """Resident memory of each such process whose command contains ``mark``."""
    sizes = []
    for process in PROC.glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
            environment = (process / "environ").read_bytes()
            if mark.encode() in command and os.fsencode(directory) in environment:
                pages = int((process / "statm").read_text().split()[1])
                sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        except (OSError, IndexError):
            continue  # it has ended meanwhile, or is not ours
    return sizes
