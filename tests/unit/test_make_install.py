"""``make install`` says how far it is, and fails where pip does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sync.settings import PROJECT_ROOT

PIP = """#!/bin/sh
case "$*" in *--quiet*) exit 0 ;; esac
for n in $(seq 60); do echo "Collecting package-$n==1.0"; done
echo "Installing collected packages: $(seq -s, 60)"
exit {code}
"""


@pytest.mark.parametrize("code", [0, 1])
def test_an_installation_shows_how_far_it_is_and_fails_where_pip_does(
    tmp_path: Path, code: int
) -> None:
    """Without a network, what pip says and how it ends stand in for it."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(PIP.format(code=code))
    python.chmod(0o755)
    made = subprocess.run(
        [str(shutil.which("make")), "install", f"VENV={tmp_path}"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [one.strip() for one in made.stdout.splitlines() if one.startswith("  ")] == [
        "25 packages found",
        "50 packages found",
        "installing 60 packages",
    ]
    assert (made.returncode == 0, (tmp_path / ".installed").exists()) == (not code, not code)
