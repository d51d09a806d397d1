"""An event's body never changes, whoever builds it, however often, and wherever builds die."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.ledger.messages import write_messages
from sync.ledger.steps import Step
from sync.warehouse import Warehouse
from tests.support.delivery import Run, complete, seed
from tests.support.ledger_rows import WITH_MESSAGES
from tests.support.marts import ANY_RECEIVER, point_endpoints
from tests.support.receiver import Receiver
from tests.support.scenarios import Scenarios

MART = "analytics.marts.completed_enrollments"


class Killed(BaseException):
    """The process dies."""


def kill(step: Step) -> None:
    if step is Step.MESSAGES_WRITTEN:
        raise Killed


@pytest.fixture
def run(scenarios: Scenarios, warehouse: Warehouse, target: Receiver, tmp_path: Path) -> Run:
    """One completion that is not recorded yet."""

    def make(warehouse: Warehouse) -> None:
        seed(warehouse, [f"{ANY_RECEIVER}/hooks/one"])
        complete(warehouse, [1], endpoints=1)

    scenarios.stand("one-completion", make)
    point_endpoints(warehouse, target.url)
    return Run(host_ports=target.host_port, journals=tmp_path, endpoints=1)


def rename(warehouse: Warehouse, name: str) -> None:
    """Make the next build's body different."""
    warehouse.execute(f"update {MART} set username = ?", name)


def stored(warehouse: Warehouse) -> list[str]:
    """All bodies, including those that no row refers to."""
    rows = warehouse.rows("select body from analytics.sync.webhook_messages")
    return [row["body"] for row in rows]


def named(warehouse: Warehouse) -> str:
    (row,) = warehouse.rows(f"select body from {WITH_MESSAGES}")
    return row["body"]


def test_what_a_killed_build_has_stored_was_sent_to_nobody_and_the_next_one_counts(
    warehouse: Warehouse, run: Run, target: Receiver
) -> None:
    with pytest.raises(Killed):
        run.record_and_build(warehouse, hook=kill)
    rename(warehouse, "renamed")
    run.send(warehouse)
    assert not target.received
    run.record_and_build(warehouse)
    run.send(warehouse)
    assert len(set(stored(warehouse))) == 2
    (request,) = target.received
    assert "renamed" in request.body.decode() == named(warehouse)


def test_of_two_builds_side_by_side_the_first_to_name_its_message_counts(
    warehouse: Warehouse, run: Run, target: Receiver
) -> None:
    def build_another(step: Step) -> None:
        if step is Step.MESSAGES_WRITTEN:
            rename(warehouse, "renamed")
            run.record_and_build(warehouse)
            run.send(warehouse)

    run.record_and_build(warehouse, hook=build_another)
    run.send(warehouse)
    assert len(set(stored(warehouse))) == 2
    (request,) = target.received
    assert "renamed" in request.body.decode() == named(warehouse)


def test_nothing_is_stored_of_a_learner_who_is_erased_while_a_build_runs(
    warehouse: Warehouse, run: Run
) -> None:
    run.record_and_build(warehouse, hook=lambda step: None)
    assert len(stored(warehouse)) == 1
    warehouse.execute(
        "update analytics.sync.webhook_outbox set build_id = null, state = 'suppressed',"
        " next_attempt_at = null"
    )
    (row,) = warehouse.rows("select webhook_id from analytics.sync.webhook_outbox")
    late = {"webhook_id": row["webhook_id"], "body": "late"}
    write_messages(warehouse, "later", [late], now=run.clock(warehouse)())
    assert len(stored(warehouse)) == 1
