"""Whichever statement of a run fails, and however: nothing is lost or stuck."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.delivery.scheduler import Limits
from sync.errors import SyncError
from sync.ledger.tables import ensure_ledger
from sync.settings import EmbeddedWarehouse
from sync.warehouse import NoResponse, StatementFailed, Warehouse, open_warehouse
from tests.support.delivery import Run, all_steps, audit, complete, delivered, seed
from tests.support.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from tests.support.receiver import Receiver, receiver
from tests.support.scenarios import Scenarios

ENDPOINTS = 2
EACH = 3
ROUND = timedelta(minutes=11)
TIMEOUT_SECONDS = 1
"""How long the connector retries a lost statement. Other statements may take longer."""


class Hasty(Warehouse):
    """A session with a short timeout for only those statements that the proxy loses."""

    def behind(self, proxy: FaultyProxy) -> Hasty:
        self._proxy = proxy
        self._usual = vars(self._connection)["_network_timeout"]
        return self

    def _run(self, sql: str, binds: tuple[object, ...]) -> Any:
        seconds = TIMEOUT_SECONDS if self._proxy.loses_the_next() else self._usual
        vars(self._connection)["_network_timeout"] = seconds
        return super()._run(sql, binds)


@dataclass
class Plant:
    """A warehouse, directly and through the proxy, and a receiver that accepts everything."""

    direct: Warehouse
    proxy: FaultyProxy
    settings: EmbeddedWarehouse
    target: Receiver
    run: Run
    users: int = 0

    def complete(self) -> set[str]:
        users = range(self.users + 1, self.users + EACH + 1)
        self.users += EACH
        return complete(self.direct, users, endpoints=ENDPOINTS)

    def run_through_proxy(self) -> SyncError | None:
        """One run; returns the error that ended it, if any."""
        try:
            settings = replace(self.settings, port=self.proxy.port)
            with open_warehouse(settings, purpose="faults") as opened:
                hasty = Hasty(settings, vars(opened)["_connection"]).behind(self.proxy)
                all_steps(hasty, self.run)
        except SyncError as error:
            return error
        return None

    def run_healthily(self) -> None:
        """One run without a fault, after all leases have expired."""
        self.run = self.run.later(ROUND)
        all_steps(self.direct, self.run)

    def times_received(self, ids: set[str]) -> list[int]:
        came = [one.webhook_id for one in self.target.received]
        return [came.count(one) for one in sorted(ids)]


@contextmanager
def running_plant(
    settings: EmbeddedWarehouse, warehouse: Warehouse, journals: Path
) -> Iterator[Plant]:
    with faulty_proxy(settings.port) as proxy, receiver() as target:
        seed(warehouse, [f"{target.url}/hooks/{n}" for n in range(ENDPOINTS)])
        limits = Limits(threads=4, batch_size=100)
        run = Run(
            host_ports=target.host_port, journals=journals, endpoints=ENDPOINTS, limits=limits
        )
        yield Plant(warehouse, proxy, settings, target, run)


@pytest.fixture(scope="module")
def plant(scenarios: Scenarios, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    scenarios.stand("ledger", ensure_ledger)
    with open_warehouse(scenarios.settings, purpose="tests") as warehouse:
        journals = tmp_path_factory.mktemp("journals")
        with running_plant(scenarios.settings, warehouse, journals) as plant:
            # The first run creates rows that later ones only update.
            plant.complete()
            plant.run_healthily()
            yield plant


WRITES = ("insert", "update")


def strike(plant: Plant, fault: Fault, *, is_writes_only: bool, every: int) -> None:
    """A run with each statement failing, then healthy runs; all webhooks must arrive once.

    With ``every`` = 6, for example, only every sixth statement fails.
    """
    plant.complete()
    plant.proxy.arm(None)
    assert plant.run_through_proxy() is None
    statements = list(plant.proxy.statements)
    assert len(statements) > 15, "more than a handful, or the proof would be empty"
    expected: dict[str, set[str]] = {}
    chosen = [
        (position, statement)
        for position, statement in enumerate(statements, start=1)
        if statement.startswith(WRITES) or not is_writes_only
    ]
    for position, statement in chosen[::every]:
        what = f"{fault} at statement {position}: {statement}"
        expected[what] = plant.complete()
        plant.proxy.arm(fault, position)
        error = plant.run_through_proxy()
        assert plant.proxy.hits, f"{what}: never struck"
        if fault in (Fault.DELAYED, Fault.HICCUP, Fault.LOCKED):
            assert error is None, f"{what}: {error}"
            assert plant.times_received(expected[what]) == [1] * EACH, f"{what}: late"
        elif fault is Fault.FAILED:
            assert isinstance(error, StatementFailed), what
            assert "invented internal error" in str(error), what
        else:
            assert isinstance(error, NoResponse), what
        plant.run = plant.run.later(ROUND)
    plant.proxy.arm(None)
    for _ in range(2):
        plant.run_healthily()
    done = delivered(plant.direct)
    for what, ids in expected.items():
        assert ids <= done, f"{what}: stuck"
        assert plant.times_received(ids) == [1] * EACH, f"{what}: repeated"
    assert audit(plant.direct, is_at_rest=True) == []


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.prove)])
@pytest.mark.parametrize(
    ("fault", "is_writes_only"),
    [
        pytest.param(Fault.FAILED, False, id="every statement fails once"),
        pytest.param(Fault.HICCUP, True, id="every write is repeated by the connector"),
        pytest.param(Fault.LOCKED, True, id="every write finds its table locked once"),
        pytest.param(Fault.LOST_ANSWER, True, id="every write runs and is never answered"),
    ],
)
def test_no_statement_that_goes_wrong_loses_or_repeats_a_webhook(
    plant: Plant,
    fault: Fault,
    is_writes_only: bool,
    every: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, logger="snowflake.connector")
    strike(plant, fault, is_writes_only=is_writes_only, every=every)


def test_a_warehouse_that_is_gone_for_good_ends_a_run_in_time(
    plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="snowflake.connector")
    plant.complete()
    plant.proxy.arm(Fault.LOST_REQUEST, 1)
    started = time.monotonic()
    assert isinstance(plant.run_through_proxy(), NoResponse)
    assert time.monotonic() - started < 120, "the usual limit is 300 s"
