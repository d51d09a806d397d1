"""A Dockerfile as a list of instructions."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from sync.settings import PROJECT_ROOT

DOCKERFILE = PROJECT_ROOT / "deploy" / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continuation lines joined."""

    stage: int
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments, from the JSON form where it is one."""
        bare = " ".join(word for word in self.text.split() if not word.startswith("--"))
        return json.loads(bare) if bare.startswith("[") else shlex.split(bare)

    @property
    def options(self) -> dict[str, str]:
        """The flags: ``--name=value``."""
        found = [word[2:] for word in self.text.split() if word.startswith("--") and "=" in word]
        return dict(option.split("=", 1) for option in found)


def read(path: Path = DOCKERFILE) -> list[Instruction]:
    """All instructions in order; the first stage is 0."""
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    found: list[Instruction] = []
    stage = -1
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, rest = line.strip().split(maxsplit=1)
        stage += name == "FROM"
        found.append(Instruction(stage, name.upper(), rest.strip()))
    return found
