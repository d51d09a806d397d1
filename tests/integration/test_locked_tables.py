"""A statement that cannot lock its table is sent again, and finally fails with a named error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from sync.settings import EmbeddedWarehouse
from sync.warehouse import LOCK_PAUSES, LOCKED, TableBlocked, Warehouse, open_warehouse
from tests.support.faulty_proxy import Fault, FaultyProxy, faulty_proxy

TABLE = "analytics.sync.counters"
ADD = f"update {TABLE} as counter set n = counter.n + 1"


@pytest.fixture
def counter(warehouse: Warehouse) -> Warehouse:
    """A table with one row, n = 0."""
    warehouse.execute("create schema analytics.sync")
    warehouse.execute(f"create table {TABLE} as select 0 as n")
    return warehouse


@contextmanager
def behind_a_proxy(counter: Warehouse) -> Iterator[tuple[FaultyProxy, Warehouse, list[float]]]:
    """A session whose statements can be refused, and its pauses."""
    settings = counter.settings
    assert isinstance(settings, EmbeddedWarehouse)
    pauses: list[float] = []
    with (
        faulty_proxy(settings.port) as proxy,
        open_warehouse(replace(settings, port=proxy.port), purpose="tests") as opened,
    ):
        yield proxy, Warehouse(settings, opened._connection, sleep=pauses.append), pauses


def add_twice(warehouse: Warehouse) -> None:
    with warehouse.transaction():
        warehouse.execute(ADD)
        warehouse.execute(ADD)


@pytest.mark.parametrize("code", sorted(LOCKED))
def test_it_is_sent_again_after_a_pause_at_random_until_it_gets_its_lock(
    counter: Warehouse, code: int
) -> None:
    with behind_a_proxy(counter) as (proxy, waiting, pauses):
        proxy.lock_code = f"{code:06d}"
        proxy.arm(Fault.LOCKED, 1, times=len(LOCK_PAUSES))
        assert waiting.execute(ADD) == 1
        assert proxy.hits == len(LOCK_PAUSES) == len(pauses)
    assert all(most / 2 <= one <= most for one, most in zip(pauses, LOCK_PAUSES, strict=True))
    assert len({one / most for one, most in zip(pauses, LOCK_PAUSES, strict=True)}) > 1
    assert counter.rows(f"select n from {TABLE}") == [{"n": 1}]


def test_a_table_that_stays_locked_is_an_error_that_names_the_repair(counter: Warehouse) -> None:
    with behind_a_proxy(counter) as (proxy, waiting, _):
        proxy.arm(Fault.LOCKED, 1, times=99)
        with pytest.raises(TableBlocked) as caught:
            waiting.execute(ADD)
    for said in ("000625", "show locks in account", "system$abort_transaction(", "5 minutes"):
        assert said in str(caught.value)
    assert counter.rows(f"select n from {TABLE}") == [{"n": 0}]


def test_one_that_has_waited_for_long_is_not_sent_again(
    counter: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.warehouse.LOCK_RETRY_SECONDS", -1)
    with behind_a_proxy(counter) as (proxy, waiting, pauses):
        proxy.arm(Fault.LOCKED, 1)
        with pytest.raises(TableBlocked):
            waiting.execute(ADD)
    assert pauses == []


def test_in_a_transaction_of_several_statements_none_is_sent_again(counter: Warehouse) -> None:
    """The transaction may hold the lock that the other session waits for."""
    with behind_a_proxy(counter) as (proxy, waiting, pauses):
        proxy.arm(Fault.LOCKED, 3)
        with pytest.raises(TableBlocked):
            add_twice(waiting)
        assert pauses == []
        proxy.arm(Fault.LOCKED, 1)
        waiting.execute(ADD)
        assert len(pauses) == 1, "after it as always"
    assert counter.rows(f"select n from {TABLE}") == [{"n": 1}]


def test_a_change_that_meets_an_open_one_comes_once_that_has_ended(counter: Warehouse) -> None:
    """Two real sessions: the engine gives up after a second, but the product does not."""
    with open_warehouse(counter.settings, purpose="tests") as other:
        other.execute("begin")
        other.execute(ADD)

        def commit(_: float) -> None:
            other.execute("commit")

        late = Warehouse(counter.settings, counter._connection, sleep=commit)
        assert late.execute(ADD) == 1
    assert counter.rows(f"select n from {TABLE}") == [{"n": 2}]
