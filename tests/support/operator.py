"""The world for tests of the operator's tools: two customers, one receiver and the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sync.clock import Clock
from sync.delivery.scheduler import Limits
from sync.delivery.send import SendReport
from sync.operations.operation import Change, Done
from sync.warehouse import Warehouse
from tests.support.delivery import Run, all_steps, complete, completed, seed
from tests.support.ledger_rows import WITH_MESSAGES
from tests.support.marts import ANY_RECEIVER, point_endpoints
from tests.support.receiver import Received, Receiver, receiver
from tests.support.scenarios import Scenarios

OUTBOX = "analytics.sync.webhook_outbox"
MESSAGES = "analytics.sync.webhook_messages"
TABLES = (
    "sync.webhook_outbox",
    "sync.webhook_messages",
    "sync.webhook_attempts",
    "sync.endpoint_state",
    "sync.endpoint_settings",
    "sync.activations",
    "sync.replays",
    "sync.erasures",
    "sync.pauses",
    "sync.endpoint_overrides",
    "marts.completed_enrollments",
    "marts.webhook_endpoints",
    "marts.completion_learning_time",
)


@dataclass
class World:
    """Customer 1's endpoint is ``/hooks/one``, customer 2's ``/hooks/two``."""

    warehouse: Warehouse
    target: Receiver
    run: Run
    scenarios: Scenarios | None = None

    def stand(self, name: str, make: Callable[[World], object]) -> None:
        """Start from the result of ``make``, which runs once; later tests restore its tables.

        They replace all existing ones; endpoints point to this test's receiver.
        """

        assert self.scenarios is not None

        def build(warehouse: Warehouse) -> None:
            make_world(warehouse)
            point_endpoints(warehouse, self.target.url)
            make(replace(self, warehouse=warehouse))
            point_endpoints(warehouse, ANY_RECEIVER, instead_of=self.target.url)

        self.scenarios.stand(name, build)
        point_endpoints(self.warehouse, self.target.url)
        self.target.answers.clear()
        self.take()

    def already_delivered(self, *users: int) -> set[str]:
        """Start from ``delivered``, in a hundredth of its time."""
        name = "-".join(["delivered", *map(str, users)])
        self.stand(name, lambda world: world.delivered(*users))
        return self.ids(*users)

    def ids(self, *users: int) -> set[str]:
        """The webhook ids of these learners."""
        return completed(users, endpoints=2)

    def complete(self, *users: int) -> set[str]:
        """Add completions of these learners, even numbers for customer 1; returns their ids."""
        return complete(self.warehouse, users, endpoints=2)

    def deliver(self) -> SendReport:
        """Record, build and send."""
        return all_steps(self.warehouse, self.run)

    def delivered(self, *users: int) -> set[str]:
        """Add and deliver completions of these learners; returns their ids."""
        ids = self.complete(*users)
        self.deliver()
        self.take()
        return ids

    def send(self) -> SendReport:
        """Send what is due."""
        return self.run.send(self.warehouse)

    def take(self) -> list[Received]:
        """What the receiver got since the last call."""
        got = list(self.target.received)
        self.target.received.clear()
        return got

    def kill_off(self) -> None:
        """Make every pending webhook a dead letter, as its eighth failed attempt would."""
        self.warehouse.execute(
            f"update {OUTBOX} set state = 'dead', state_reason = 'attempts_exhausted',"
            " attempt_count = 8, next_attempt_at = null where state = 'pending'"
        )

    def rows(self, columns: str = "*", where: str = "true") -> list[dict[str, Any]]:
        """Rows of the outbox, by learner."""
        return self.warehouse.rows(
            f"select {columns} from {WITH_MESSAGES} where {where} order by user_id"
        )

    def row(self, webhook_id: str) -> Mapping[str, Any]:
        """One row of the outbox."""
        return self.rows(where=f"webhook_id = '{webhook_id}'")[0]

    @property
    def clock(self) -> Clock:
        """The clock of the world's runs."""
        return self.run.clock(self.warehouse)

    def everything(self) -> dict[str, str]:
        """A hash of each table's rows, to show that an operation wrote nothing."""
        return everything_in(self.warehouse)


def make_world(warehouse: Warehouse) -> None:
    """The tables of a world without completions."""
    urls = [f"{ANY_RECEIVER}/hooks/{name}" for name in ("one", "two")]
    seed(warehouse, urls, timeout_seconds=45)


@contextmanager
def open_world(
    warehouse: Warehouse, journals: Path, scenarios: Scenarios | None = None
) -> Iterator[World]:
    """The world of these tables with a running receiver."""
    with receiver() as target:
        point_endpoints(warehouse, target.url)
        run = Run(
            host_ports=target.host_port,
            journals=journals,
            endpoints=2,
            limits=Limits(per_endpoint=1),
        )
        yield World(warehouse, target, run, scenarios)


def carry_out(
    warehouse: Warehouse,
    clock: Clock,
    request: Change,
    *,
    confirmed: int | None = None,
    request_id: str | None = None,
) -> Done:
    """Do what an operator does: read the plan, confirm its number, and apply it."""
    if confirmed is None:
        confirmed = request.plan(warehouse, clock).matched
    return request.apply(
        warehouse, clock, confirmed=confirmed, by="an operator", request_id=request_id
    )


def everything_in(warehouse: Warehouse) -> dict[str, str]:
    """A hash of each table's rows."""
    # One statement that formats rows as text in the embedded engine takes a seventh of the time.
    queries = [
        f"select '{one}' as name, to_varchar(t) as row_ from analytics.{one} as t" for one in TABLES
    ]
    rows: dict[str, list[str]] = {table: [] for table in TABLES}
    for row in warehouse.rows(" union all ".join(queries)):
        rows[row["name"]].append(row["row_"])
    return {
        table: hashlib.sha256("\n".join(sorted(own)).encode()).hexdigest()
        for table, own in rows.items()
    }
