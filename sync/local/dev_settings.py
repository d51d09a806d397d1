"""Publishes the settings of ``make dev``'s processes to commands in another terminal.

Without them, such a command would refuse ``make dev``'s receiver, find no secrets, and use a
different activation time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from sync.settings import EmbeddedWarehouse, home, load_settings

FILE = "dev.json"


@contextmanager
def published(directory: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """Store the settings in the home directory for as long as this process runs."""
    path = directory / FILE
    path.write_text(json.dumps({"pid": os.getpid(), "settings": settings}), encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def adopt(environ: MutableMapping[str, str]) -> Mapping[str, str]:
    """Adopt the settings of a running ``make dev`` of the same home directory that this environment
    lacks; returns them.

    Raises:
        ConfigurationError: as for ``load_settings``.
    """
    if not isinstance(load_settings(environ), EmbeddedWarehouse):
        return {}
    missing = {
        name: value for name, value in _running(home(environ))[1].items() if not environ.get(name)
    }
    environ.update(missing)
    return missing


def running_process(directory: Path) -> int | None:
    """The process id of this home directory's ``make dev``; None if it is not running."""
    return _running(directory)[0]


def _running(directory: Path) -> tuple[int | None, Mapping[str, str]]:
    """The live process and its settings; None and empty if there is none."""
    try:
        found = json.loads((directory / FILE).read_text(encoding="utf-8"))
        os.kill(found["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None, {}
    return found["pid"], found["settings"]
