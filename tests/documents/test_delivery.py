"""``docs/delivery.md`` matches the code: steps, states, reasons, codes, commands."""

from __future__ import annotations

import re

import pytest

from sync import cli
from sync.delivery.scheduler import Limits
from sync.domain.circuit_breaker import (
    FIRST_OPEN,
    LONGEST_OPEN,
    SLOWEST,
    TRIP_ATTEMPTS,
    TRIP_IN_A_ROW,
)
from sync.domain.responses import ErrorKind
from sync.http.headers import REPLAY_HEADER, TEST_HEADER
from sync.http.oauth import TOKEN_SECONDS
from sync.ledger.claims import LOW_LANE_TURN
from sync.ledger.retention import DEFAULT_DAYS
from sync.ledger.steps import Step
from sync.operations.next_run import OVER_LIMIT_LISTED
from sync.operations.operation import ASK_ABOVE
from sync.operations.replay import ReplayState
from sync.settings import PROJECT_ROOT
from tests.support.command_line import Command, command_line
from tests.support.schedule_table import schedule_table

TEXT = (PROJECT_ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")


@pytest.fixture
def ltw(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return command_line(monkeypatch, capfd)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(list(ErrorKind), id="error kinds"),
        pytest.param(list(ReplayState), id="states to replay"),
        pytest.param([f"{REPLAY_HEADER}: true", f"{TEST_HEADER}: true"], id="markers"),
    ],
)
def test_every_word_of_the_code_is_explained(words: list[str]) -> None:
    assert [one for one in words if f"`{one}`" not in TEXT] == []


def test_the_steps_are_numbered_in_their_order() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", TEXT, flags=re.MULTILINE)
    assert rows == [(str(number), step.value) for number, step in enumerate(Step, start=1)]


def test_the_schedule_is_the_one_that_is_kept() -> None:
    assert schedule_table() in TEXT


def test_the_numbers_are_those_of_the_code() -> None:
    limits = Limits()
    assert TRIP_IN_A_ROW == 5
    assert "Five consecutive failures" in TEXT
    assert f"at least {TRIP_ATTEMPTS} attempts" in TEXT
    assert f"stays open for {FIRST_OPEN.seconds} seconds" in " ".join(TEXT.split())
    assert f"up to {LONGEST_OPEN.seconds // 60} minutes" in TEXT
    assert round(1 / SLOWEST) == 16
    assert LOW_LANE_TURN + 1 == 5
    assert "one place in five" in " ".join(TEXT.split())
    assert f"(default {limits.per_endpoint})" in TEXT
    assert f"(default {limits.threads})" in TEXT
    assert f"after {limits.lease.seconds // 60} minutes" in TEXT
    assert [Limits(threads=threads).unwritten for threads in (1, 8, 32)] == [2, 4, 16]
    assert "one attempt for every two threads (2 at least)" in " ".join(TEXT.split())
    assert f"than {ASK_ABOVE} webhooks" in " ".join(TEXT.split())
    assert f"(default {DEFAULT_DAYS})" in TEXT
    assert f"its own deadline of {TOKEN_SECONDS:.0f} seconds" in " ".join(TEXT.split())
    assert OVER_LIMIT_LISTED == 100
    assert "decides the first hundred" in TEXT


def test_every_command_shown_exists_with_its_options(ltw: Command) -> None:
    (block,) = re.findall(r"```sh\n(.*?)\n```", TEXT, flags=re.DOTALL)
    for line in block.splitlines():
        words = line.split()[1:]
        names = [word for word in words[:2] if word.isalpha() or word == "test-send"]
        said = ltw(*names, "--help")
        assert said.code == 0, line
        for option in re.findall(r"--[a-z-]+", line):
            assert option in said.out, line


def test_every_command_of_the_line_has_help(ltw: Command) -> None:
    names = [
        command.name or getattr(command.callback, "__name__", "")
        for command in (*cli.app.registered_commands,)
    ]
    assert {"status", "preview", "replay", "test-send", "retention"} <= set(names)
    for name in names:
        assert ltw(name, "--help").code == 0
