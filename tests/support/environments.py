"""Programs in other versions, or not installed here, each in a separate environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def environment(directory: Path, *packages: str, overrides: str = "") -> Path:
    """The folder of programs of a new environment with these packages; skips the test if they
    cannot be installed."""
    uv = str(Path(sys.executable).with_name("uv"))
    programs = directory / "environment" / "bin"
    given = directory / "overrides.txt"
    given.write_text(overrides, encoding="utf-8")
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(programs.parent)],
        [
            *(uv, "pip", "install", "--quiet", "--python", str(programs / "python")),
            *(*packages, "--override", str(given)),
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot be installed here: {done.stderr[-200:]}")
    return programs
