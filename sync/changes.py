"""Is there anything to do? Asked every half minute, so the answer must cost nothing when it is no.

On Snowflake the question goes to metadata alone, so a suspended warehouse stays suspended. Only
when the ledger itself has changed is it read, once, for the moment when the next row comes due.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sync.ledger import OUTBOX
from sync.settings import EmbeddedWarehouse, RawSchema, SnowflakeWarehouse
from sync.warehouse import Warehouse

SOURCES: Sequence[tuple[RawSchema, str, str]] = (
    ("lms", "grades_persistentcoursegrade", "modified"),
    ("lms", "student_courseenrollment", "created"),
    ("enterprise", "enterprise_enterprisecourseenrollment", "modified"),
    ("enterprise", "enterprise_enterprisecustomeruser", "modified"),
    ("enterprise", "enterprise_enterprisecustomer", "modified"),
    ("enterprise", "consent_datasharingconsent", "modified"),
    ("enterprise", "channel_integration_enterprisewebhookconfiguration", "modified"),
)
"""Replicas whose change can make a completion new or an endpoint usable, with the column of
their newest moment.
"""
MART = ("completion_learning_time", "computed_through")
"""Its change can end the wait of a completion."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the last look saw; kept as the sensor's cursor."""

    sources: str = ""
    """Opaque: differs when a replica or a mart has changed."""
    ledger: str = ""
    """Opaque: differs when the outbox has changed."""
    due_at: str | None = None
    """When the next outbox row comes due, ISO 8601 in UTC."""

    @classmethod
    def from_cursor(cls, cursor: str | None) -> Seen:
        """A cursor of another form, or none, is like having seen nothing."""
        try:
            return cls(**json.loads(cursor or "{}"))
        except (TypeError, ValueError):
            return cls()

    def cursor(self) -> str:
        """The text to keep."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Look:
    """What there is to do now, and what to remember."""

    seen: Seen
    reason: str | None
    """Why a run is wanted; None when nothing is to be done."""


def look(warehouse: Warehouse, before: Seen, *, now: datetime, max_wait: timedelta) -> Look:
    """Compare with the last look. One statement when nothing has changed, two otherwise.

    ``max_wait`` is how long a completion may wait for its learning time. ``now`` is naive UTC.

    Raises:
        StatementFailed: a source does not exist or may not be read.
    """
    sources, ledger = _tokens(warehouse)
    due_at = before.due_at
    if ledger != before.ledger:
        due = _due_at(warehouse, max_wait)
        due_at = due.isoformat() if due is not None else None
    seen = Seen(sources=sources, ledger=ledger, due_at=due_at)
    if sources != before.sources:
        return Look(seen, "the replicas or the mart have changed")
    if due_at is not None and datetime.fromisoformat(due_at) <= now:
        return Look(seen, f"a webhook came due at {due_at} UTC")
    return Look(seen, None)


def _tokens(warehouse: Warehouse) -> tuple[str, str]:
    tables = [(warehouse.raw_relation(one[0], one[1]), one[2]) for one in SOURCES]
    tables.append((warehouse.relation("marts", MART[0]), MART[1]))
    outbox = warehouse.relation("sync", OUTBOX)
    match warehouse.settings:
        case SnowflakeWarehouse():
            sources = [_commit_time(table) for table, _ in tables]
            ledger = _commit_time(outbox)
        case EmbeddedWarehouse():
            sources = [_newest(table, column) for table, column in tables]
            ledger = _newest(outbox, "updated_at")
    row = warehouse.rows(f"select {' || '.join(sources)} as sources, {ledger} as ledger")[0]
    return row["sources"], row["ledger"]


def _commit_time(table: str) -> str:
    """Snowflake's moment of the last change, from metadata; to be compared, not read as a time."""
    return f"coalesce(system$last_change_commit_time('{table}')::varchar, '') || ';'"


def _newest(table: str, column: str) -> str:
    """The embedded engine keeps no such metadata, and costs nothing."""
    return f"(select count(*) || '/' || coalesce(max({column})::varchar, '') from {table}) || ';'"


def _due_at(warehouse: Warehouse, max_wait: timedelta) -> datetime | None:
    """When the first pending row is due, or the first waiting one has waited long enough."""
    rows = warehouse.rows(
        f"""
        select min(case
            when state = 'pending' then next_attempt_at
            when state = 'delivered' and replay_id is not null then next_attempt_at
            when state = 'awaiting' then dateadd('second', ?, recorded_at)
        end) as due_at
        from {warehouse.relation("sync", OUTBOX)}
        """,
        int(max_wait.total_seconds()),
    )
    return rows[0]["due_at"]
