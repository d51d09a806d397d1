"""The state of deliveries in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sync.ledger import OUTBOX, ensure_ledger
from sync.warehouse import StatementFailed, Warehouse


@dataclass(frozen=True)
class Status:
    """Counts of webhooks by state; moments are naive UTC."""

    states: dict[str, int]
    oldest_due_at: datetime | None
    computed_through: datetime | None
    """None when the models were never built or no line was loaded."""

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "states": self.states,
            "oldest_due_at": self.oldest_due_at,
            "computed_through": self.computed_through,
        }


def read_status(warehouse: Warehouse) -> Status:
    """Read the ledger and the watermark.

    Raises:
        StatementFailed: the ledger cannot be read.
    """
    ensure_ledger(warehouse)
    outbox = warehouse.relation("sync", OUTBOX)
    states = warehouse.rows(
        f"select state, count(*) as n from {outbox} group by state order by state"
    )
    due = warehouse.rows(
        f"select min(next_attempt_at) as due from {outbox} where state = 'pending'"
    )
    return Status(
        states={row["state"]: int(row["n"]) for row in states},
        oldest_due_at=due[0]["due"],
        computed_through=_computed_through(warehouse),
    )


def _computed_through(warehouse: Warehouse) -> datetime | None:
    watermark = warehouse.relation("marts", "learning_time_watermark")
    try:
        rows = warehouse.rows(f"select max(computed_through) as through from {watermark}")
    except StatementFailed:
        # Before the first dbt build there is no mart, which is a state and not a failure.
        return None
    return rows[0]["through"]
