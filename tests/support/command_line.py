"""The command line in this process, with its exit code and what it printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import typer

from sync import cli

# Typer rebuilds its commands from the functions at each call, half of a call's cost.
_built_once = cache(typer.main.get_command)


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The output of ``--json``; fails if anything else was printed."""
        return json.loads(self.out)

    @property
    def text(self) -> str:
        """Both streams, with the line breaks between words undone."""
        return " ".join((self.out + self.err).split())


Command = Callable[..., Said]


def command_line(patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> Command:
    """A function that runs one command as a shell would."""

    patch.setattr("typer.main.get_command", _built_once)

    def run(*arguments: object) -> Said:
        patch.setattr(sys, "argv", ["ltw", *map(str, arguments)])
        capture.readouterr()
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        else:
            code = 0
        captured = capture.readouterr()
        return Said(code, captured.out, captured.err)

    return run
