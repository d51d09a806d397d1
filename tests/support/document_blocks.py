"""Fenced blocks of the documents, and whether a command's output matches a block."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from sync.settings import PROJECT_ROOT

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    flags=re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    document: str
    """Path relative to the project, with slashes."""
    line: int
    """Line number of its opening fence."""
    language: str
    text: str

    def __str__(self) -> str:
        first = self.text.strip().split("\n")[0][:60]
        return f"{self.document}:{self.line} {first}"

    def commands(self) -> list[str]:
        """Commands of a shell block, lines joined, without comments and here-documents."""
        text = re.sub(r"<<'(\w+)'\n.*?\n\1\n", "\n", self.text, flags=re.DOTALL)
        lines = text.replace("\\\n", " ").splitlines()
        return [one.strip() for one in lines if one.strip() and not one.strip().startswith("#")]


def blocks_of(path: Path) -> list[Block]:
    """The blocks of a document, in order."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(
            path.relative_to(PROJECT_ROOT).as_posix(),
            text.count("\n", 0, found.start()) + 1,
            found["language"],
            textwrap.dedent(found["text"]),
        )
        for found in FENCE.finditer(text)
    ]


def documents() -> list[Path]:
    """Every published document."""
    return [
        PROJECT_ROOT / "README.md",
        PROJECT_ROOT / "CONTRIBUTING.md",
        *sorted((PROJECT_ROOT / "docs").glob("*.md")),
    ]


def missing_lines(shown: str, printed: str) -> list[str]:
    """Lines of a block that are missing in the output. ``…`` matches anything within a line."""
    lines = [" ".join(one.split()) for one in printed.splitlines()]

    def is_there(line: str) -> bool:
        parts = [re.escape(part.strip()) for part in line.split("…")]
        pattern = re.compile(" ?.*".join(parts))
        return any(pattern.search(one) for one in lines)

    return [
        line for line in shown.splitlines() if line.strip() and not is_there(" ".join(line.split()))
    ]
