"""``make install`` shows its progress, and fails if pip does."""

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
    """Without a network: pip's output and exit code are simulated."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(PROJECT_ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PIP.format(code=code))
    python.chmod(0o755)
    made = subprocess.run(
        [str(shutil.which("make")), "install"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [one.strip() for one in made.stdout.splitlines() if one.startswith("  ")] == [
        "25 packages found",
        "50 packages found",
        "installing 60 packages",
    ]
    assert (made.returncode == 0, (tmp_path / ".venv" / ".installed").exists()) == (
        not code,
        not code,
    )
