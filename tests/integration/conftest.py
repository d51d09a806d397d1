"""Fixtures of the tests of whole runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse
from tests.support.command_line import Command, command_line
from tests.support.operator import World, make_world, open_world
from tests.support.pipeline import Pipeline
from tests.support.receiver import Receiver, receiver
from tests.support.scenarios import Scenarios
from tests.support.token_server import TokenServer, token_server


@pytest.fixture
def target() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def ledger(scenarios: Scenarios, warehouse: Warehouse) -> Warehouse:
    """An open session on a warehouse with the tables of the ledger."""
    scenarios.stand("ledger", ensure_ledger)
    return warehouse


@pytest.fixture
def pipeline(
    scenarios: Scenarios, warehouse: Warehouse, target: Receiver, tmp_path: Path
) -> Pipeline:
    """Two completions and one endpoint."""
    opened = Pipeline(warehouse, target, tmp_path, scenarios)
    opened.stand("two completions", lambda _: None)
    return opened


@pytest.fixture
def world(scenarios: Scenarios, warehouse: Warehouse, tmp_path: Path) -> Iterator[World]:
    scenarios.stand("world", make_world)
    with open_world(warehouse, tmp_path, scenarios) as opened:
        yield opened


@pytest.fixture
def ltw(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process, errors and exit codes included."""
    monkeypatch.setenv("COLUMNS", "200")
    return command_line(monkeypatch, capfd)


@pytest.fixture
def server() -> Iterator[TokenServer]:
    """A token server on loopback."""
    with token_server() as running:
        yield running
