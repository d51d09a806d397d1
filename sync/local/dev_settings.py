"""What ``make dev`` has set for its own processes, for commands in another terminal.

Without it a command there would refuse the receiver of ``make dev``, find no secrets, and count
other completions as new.
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
    """Leave the settings in the home directory for as long as this process runs."""
    path = directory / FILE
    path.write_text(json.dumps({"pid": os.getpid(), "settings": settings}), encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def adopt(environ: MutableMapping[str, str]) -> Mapping[str, str]:
    """Set what a running ``make dev`` of the same home directory has set and this environment has
    not; what that was.

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
    """The process of the ``make dev`` of this home directory; None when none runs."""
    return _running(directory)[0]


def _running(directory: Path) -> tuple[int | None, Mapping[str, str]]:
    """A process that is alive and its settings; none where there is no such process."""
    try:
        found = json.loads((directory / FILE).read_text(encoding="utf-8"))
        os.kill(found["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None, {}
    return found["pid"], found["settings"]
