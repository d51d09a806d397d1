"""The lookup's own connection: opened on demand, always closed, and no error if it is dead."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import pytest
import snowflake.connector

from sync.delivery.learning_time import (
    LOOKUP_BATCH,
    Found,
    LearningTimeClient,
    NotYet,
    Unavailable,
)
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, connect_arguments
from tests.support.dead_hosts import closed_port
from tests.support.hand_clock import HandClock
from tests.support.learning_times import THROUGH, fill_mart, key, mart_row
from tests.support.stalling_proxy import StallingProxy


@dataclass
class Opened:
    """One connection, with the arguments to the connector."""

    arguments: dict[str, Any]
    connection: Any = None
    is_closed: bool = False

    def be_hasty(self) -> None:
        """Wait no longer than a second for a response from now on."""
        vars(self.connection).update(_network_timeout=1, _socket_timeout=1)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Opened]:
    """Every connection opened from here on, and whether it was closed.

    The connector's ``is_closed`` is always False for a session of the embedded warehouse.
    """
    opened: list[Opened] = []
    connect = snowflake.connector.connect

    def spy(**arguments: Any) -> Any:
        seen = Opened(deepcopy(arguments))  # the connector adds to them
        connection = seen.connection = connect(**arguments)
        opened.append(seen)
        close = connection.close

        def closed(*args: Any, **options: Any) -> None:
            seen.is_closed = True
            close(*args, **options)

        monkeypatch.setattr(connection, "close", closed)
        return connection

    monkeypatch.setattr(snowflake.connector, "connect", spy)
    return opened


def test_its_own_connection_is_opened_when_needed_and_closed_afterwards(
    warehouse: Warehouse,
    warehouse_settings: EmbeddedWarehouse,
    connections: list[Opened],
):
    fill_mart(warehouse, mart_row(key(1), 60))
    with LearningTimeClient.connect(warehouse_settings) as client:
        assert not connections
        assert client.get_learning_time(key(1)) == Found(60, THROUGH)
        client.get_learning_time(key(2))
        [connection] = connections
        assert not connection.is_closed
    assert connection.is_closed
    expected = connect_arguments(
        warehouse_settings, purpose="learning-time", statement_timeout_seconds=5
    )
    # It is shorter during login.
    del expected["socket_timeout"], connection.arguments["socket_timeout"]
    assert connection.arguments == expected


def test_it_is_closed_when_the_run_breaks_off(
    warehouse: Warehouse,
    warehouse_settings: EmbeddedWarehouse,
    connections: list[Opened],
):
    def broken_run() -> None:
        with LearningTimeClient.connect(warehouse_settings) as client:
            client.get_learning_time(key(1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_run()
    assert [one.is_closed for one in connections] == [True]


def test_a_warehouse_that_is_down_is_an_outcome_and_no_error(
    warehouse_settings: EmbeddedWarehouse,
):
    with (
        closed_port("127.0.0.1") as port,
        LearningTimeClient.connect(replace(warehouse_settings, port=port)) as client,
    ):
        outcome = client.get_learning_time(key(1))
    assert isinstance(outcome, Unavailable)
    assert outcome.reason == "the warehouse does not respond"


# The connector's cancel thread also gets no response.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_silent_warehouse_costs_one_time_limit_and_later_all_is_well(
    warehouse: Warehouse,
    warehouse_settings: EmbeddedWarehouse,
    connections: list[Opened],
):
    fill_mart(warehouse, mart_row(key(1), 60))
    clock = HandClock()
    with (
        StallingProxy(warehouse_settings.port) as proxy,
        LearningTimeClient.connect(
            replace(warehouse_settings, port=proxy.port), clock=clock, timeout_seconds=60
        ) as client,
    ):
        assert client.get_learning_time(key(1)) == Found(60, THROUGH)
        connections[0].be_hasty()
        proxy.stall()
        started = time.monotonic()
        outcomes = client.get_many(key(n) for n in range(1, 3 * LOOKUP_BATCH))
        assert 0.9 < time.monotonic() - started < 60
        assert outcomes[key(1)] == Found(60, THROUGH), "what is known stays known"
        away = [one for one in outcomes.values() if isinstance(one, Unavailable)]
        assert away == [Unavailable("the warehouse does not respond")] * (3 * LOOKUP_BATCH - 2)
        proxy.resume()
        clock.now = 60
        assert client.get_learning_time(key(2)) == NotYet(None)
    assert len(connections) == 2, "a session that failed is not used again"
