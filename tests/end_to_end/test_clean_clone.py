"""What a new user gets from a clone: the README's two commands, in an empty folder.

It reinstalls every package of the lock file, which takes minutes and needs a package index, so it
runs with ``make clone``, not with ``make test``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sync.local.sandbox import OWN_SETTINGS
from sync.settings import PROJECT_ROOT
from tests.support.processes import processes_of

MINUTES = 15
PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
"""That of this machine, not the one of the environment that runs the tests."""

pytestmark = [
    pytest.mark.clone,
    pytest.mark.skipif(not (PROJECT_ROOT / ".git").exists(), reason="this is no Git checkout"),
]


class Clone:
    """A fresh clone, and how long its commands took."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - started

    def run(self, *command: str, name: str) -> str:
        """Run in the clone; returns the output.

        Raises:
            AssertionError: it failed; with the end of the output.
        """
        left_out = (*OWN_SETTINGS, "PYTHON", "VIRTUAL_ENV", "PYTEST_")
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(left_out)
        }
        with self.timed(name):
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=MINUTES * 60,
            )
        assert done.returncode == 0, f"{name}:\n{done.stdout[-6000:]}"
        return done.stdout


def test_the_two_commands_of_the_readme(tmp_path: Path) -> None:
    """``make demo`` unchanged; of ``make test``, the collection and the fast part."""
    clone = Clone(tmp_path / "learning-time-webhooks")
    with clone.timed("git clone"):
        subprocess.run(
            ["git", "clone", "--quiet", str(PROJECT_ROOT), str(clone.folder)],  # noqa: S607
            check=True,
        )
    clone.run("make", "install", f"PYTHON={PYTHON}", name="make install, done by the first make")
    said = clone.run("make", "demo", name="make demo")
    assert "nothing was left running" in said
    python = str(clone.folder / ".venv" / "bin" / "python")
    collected = clone.run(
        python, "-m", "pytest", "--collect-only", "-q", name="collection of the tests"
    )
    assert "error" not in collected.lower().splitlines()[-1]
    tested = clone.run(python, "-m", "pytest", "tests/unit", "-q", name="unit tests")
    assert " passed" in tested
    status = clone.run("git", "status", "--porcelain", name="git status")
    assert status == "", "what the commands leave is ignored by Git"
    assert processes_of(clone.folder) == []
    for what, seconds in clone.seconds.items():
        print(f"\n{what}: {seconds:.0f} s", end="")
    print(f"\nfrom clone to the end of both: {sum(clone.seconds.values()):.0f} s")
