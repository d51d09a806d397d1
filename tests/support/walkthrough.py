"""Runs the documents block by block like a reader, in a terminal in a copy of the project."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sync.settings import PROJECT_ROOT
from tests.support.document_blocks import Block, blocks_of, missing_lines

TUTORIAL = PROJECT_ROOT / "docs" / "tutorial.md"
FIRST_DAY = PROJECT_ROOT / "docs" / "first-day.md"
LEFT_OUT = {
    "git clone": "tests/end_to_end/test_clean_clone.py clones and runs `make demo`",
    "make dev": "running_dev starts it for part 1",
    ".venv/bin/python -m pytest tests/snowflake": "that is tests/snowflake",
    "DAGSTER_HOME=": "it is what `make dev` starts, see sync/local/dev.py; the jobs run here",
}
"""Blocks that are not run, by how they start, with the reason."""
PART_2 = "# Part 2"


@dataclass
class Terminal:
    """A shell in a folder; exports of a block are visible to the next one."""

    folder: Path
    environment: dict[str, str]
    printed: str = ""

    def run(self, block: Block, codes: Sequence[int] = (0,)) -> None:
        """Run a block of commands; the first failing command fails the test.

        ``codes`` are exit codes that are not failures.
        """
        note = self.folder / "environment.after"
        done = subprocess.run(
            ["bash", "-euc", f"{block.text}\nenv -0 > {note.name}"],  # noqa: S607
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        self.printed = done.stdout + done.stderr
        assert done.returncode in codes, f"{block}\n{self.printed[-4000:]}"
        if done.returncode:
            return
        pairs = note.read_text(encoding="utf-8").strip("\0").split("\0")
        self.environment = dict(one.split("=", 1) for one in pairs)

    def python(self, *arguments: str, given: str | None = None) -> str:
        """Run this interpreter in the folder; returns its output."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def compare(self, block: Block) -> None:
        """Assert that the last output contains the lines of this block."""
        missing = missing_lines(block.text, self.printed)
        assert missing == [], f"{block}\nprinted was:\n{self.printed}"


def copy_of_the_project(directory: Path) -> Path:
    """A copy that the reader may edit, with this interpreter's packages."""
    folder = directory / "learning-time-webhooks"
    for name in ("dbt_project", "deploy", "docs", "orchestration", "sync"):
        shutil.copytree(
            PROJECT_ROOT / name,
            folder / name,
            ignore=shutil.ignore_patterns("__pycache__", "secrets", "settings.env"),
        )
    for name in ("dbt_project.yml", "profiles.yml", "pyproject.toml"):
        shutil.copy(PROJECT_ROOT / name, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def parts() -> tuple[list[Block], list[Block]]:
    """The blocks of the laptop part, and of the account part with the first day before it."""
    text = TUTORIAL.read_text(encoding="utf-8")
    border = text[: text.index(f"\n{PART_2}")].count("\n") + 1
    blocks = blocks_of(TUTORIAL)
    return [one for one in blocks if one.line < border], [
        *blocks_of(FIRST_DAY),
        *(one for one in blocks if one.line > border),
    ]


def walk(terminal: Terminal, blocks: list[Block], steps: Mapping[str, Any]) -> None:
    """Run each block in order; ``steps`` has additional or replacement actions for a block.

    A key is the start of the block. Every key must match at least once.
    """
    unmet = dict(steps)
    for block in blocks:
        key = next((one for one in steps if block.text.lstrip().startswith(one)), None)
        if key is not None:
            unmet.pop(key, None)
            steps[key](block)
        elif any(block.text.startswith(one) for one in LEFT_OUT):
            continue
        elif block.language == "sh":
            terminal.run(block)
        elif block.language == "text":
            terminal.compare(block)
        else:
            pytest.fail(f"{block}: nothing here runs a block in {block.language!r}")
    assert unmet == {}, "the tutorial has no such block any more"
