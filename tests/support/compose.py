"""The services of ``deploy/compose.yaml``, and their commands adapted to this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sync.settings import PROJECT_ROOT

DEPLOY = PROJECT_ROOT / "deploy"
WORKSPACE_IN_IMAGE = "/opt/dagster/workspace.yaml"
OURS = ("code", "daemon", "webserver")


def compose() -> dict[str, Any]:
    """The file, with its anchors resolved."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Service:
    """One of the services that run this project's image."""

    name: str
    command: Sequence[str]
    healthcheck: Sequence[str]

    @classmethod
    def named(cls, name: str) -> Service:
        """The command in the file."""
        found: Mapping[str, Any] = compose()["services"][name]
        kind, *check = found["healthcheck"]["test"]
        assert kind == "CMD", "no shell between Docker and the check"
        return cls(name, found["command"], check)


def on_this_machine(command: Sequence[str], *, ports: Mapping[str, int]) -> list[str]:
    """The same command with this environment's programs, free ports and loopback.

    ``ports`` maps a port of the file to the one to use; any other port would be an error.
    """
    program, *arguments = command
    changed = [str(Path(sys.executable).with_name(program))]
    for before, word in zip(command, arguments, strict=False):
        if before == "--port":
            changed.append(str(ports[word]))
        elif before == "--host":
            changed.append("127.0.0.1")
        elif word == WORKSPACE_IN_IMAGE:
            changed.append(str(DEPLOY / "workspace.yaml"))
        else:
            changed.append(_with_ports(word, ports))
    return changed


def _with_ports(word: str, ports: Mapping[str, int]) -> str:
    """Ports of the file inside URLs replaced."""
    for theirs, port in ports.items():
        word = word.replace(f":{theirs}/", f":{port}/")
    return word
