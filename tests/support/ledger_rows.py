"""Rows written directly to the ledger, for tests of code that reads it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime

from sync.domain.states import UNFINISHED
from sync.ledger.tables import (
    ATTEMPTS,
    ENDPOINT_STATE,
    MESSAGE_COLUMNS,
    MESSAGES,
    MIGRATIONS,
    OUTBOX,
)
from sync.warehouse import Warehouse
from tests.support.completions import COURSE_RUN, ENTERPRISE

DROPPED = {one for migration in MIGRATIONS for one in migration.dropped}
DROPPED |= {(OUTBOX, name) for name in MESSAGE_COLUMNS}
COLUMNS = {
    name: {
        column: kind
        for column, kind in (
            line.split(maxsplit=1) for line in ddl.replace("not null", "").split(",\n")
        )
        if (name, column) not in DROPPED
    }
    for migration in MIGRATIONS
    for name, ddl in migration.tables
}
"""Column types by table and column, read from the ledger's DDL."""
for table, added in (one for migration in MIGRATIONS for one in migration.columns):
    if table in COLUMNS:
        added_name, added_kind = added.split(maxsplit=1)
        COLUMNS[table][added_name] = added_kind
for table in (table for migration in MIGRATIONS for table in migration.row_ids):
    COLUMNS[table]["row_id"] = " varchar(36)"


WITH_MESSAGES = (
    "analytics.sync.webhook_outbox"
    " left join analytics.sync.webhook_messages using (webhook_id, build_id)"
)
"""A relation to select from: rows of the outbox with the columns of their messages."""
COLUMNS[MESSAGES] = {
    "webhook_id": "varchar(36)",
    "build_id": "varchar(40)",
    **MESSAGE_COLUMNS,
}


def webhook(user_id: int, at: datetime, **changes: object) -> dict[str, object]:
    """A delivered completion without learning time; ``at`` (UTC) is the time of everything in it.

    It includes the columns of its message. There is no message without ``frozen_at``, or if
    ``body`` is None and was not removed.
    """
    written = at.isoformat()
    return {
        "webhook_id": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{user_id}.example.com")),
        "event_type": "course_completion",
        "enterprise_customer_uuid": ENTERPRISE,
        "user_id": user_id,
        "courserun_key": COURSE_RUN,
        "occurred_at": written,
        "recorded_at": written,
        "state": "delivered",
        "endpoint_id": 1,
        "payload_format": "v2",
        "frozen_at": written,
        "enrichment_outcome": "flag_off",
        "attempt_count": 1,
        "delivered_at": written,
        "fence": 1,
        "updated_at": written,
        **changes,
    }


def attempt(row: Mapping[str, object], **changes: object) -> dict[str, object]:
    """The successful first attempt of a webhook, in 120 ms."""
    return {
        "webhook_id": row["webhook_id"],
        "endpoint_id": row["endpoint_id"],
        "fence": row["fence"],
        "attempt_number": 1,
        "started_at": row["frozen_at"],
        "duration_ms": 120,
        "status_code": 200,
        "outcome": "delivered",
        **changes,
    }


def endpoint_state(endpoint_id: int, at: datetime, **changes: object) -> dict[str, object]:
    """A healthy endpoint."""
    return {
        "endpoint_id": endpoint_id,
        "version": 1,
        "breaker_state": "closed",
        "consecutive_failures": 0,
        "window_attempts": 0,
        "window_failures": 0,
        "open_count": 0,
        "half_open_successes": 0,
        "rate_factor": 1.0,
        "updated_at": at.isoformat(),
        **changes,
    }


def write_ledger(
    warehouse: Warehouse,
    *,
    webhooks: Iterable[Mapping[str, object]] = (),
    attempts: Iterable[Mapping[str, object]] = (),
    endpoint_states: Iterable[Mapping[str, object]] = (),
) -> None:
    """Replace all rows of the ledger: webhooks with their messages, attempts, endpoint states."""
    split = [_with_message(row) for row in webhooks]
    for table, rows in (
        (OUTBOX, split),
        (MESSAGES, [row for row in split if row.get("build_id") is not None]),
        (ATTEMPTS, attempts),
        (ENDPOINT_STATE, endpoint_states),
    ):
        relation = warehouse.relation("sync", table)
        columns = COLUMNS[table]
        picked = ", ".join(_picked(name, kind) for name, kind in columns.items())
        warehouse.execute(f"delete from {relation}")
        warehouse.bulk(
            f"""
            insert into {relation} ({", ".join(columns)})
            select {picked} from table(flatten(input => parse_json(?)))
            """,
            rows,
        )


def _with_message(row: Mapping[str, object]) -> Mapping[str, object]:
    """The row with its build id, and with a due time while it is unfinished."""
    at = row["recorded_at"] if row["state"] in UNFINISHED else None
    is_built = row.get("body", "") is not None or row.get("body_removed_at") is not None
    return {
        **row,
        "build_id": row.get("build_id") or (row.get("frozen_at") if is_built else None),
        "next_attempt_at": row.get("next_attempt_at") or at,
    }


def _picked(name: str, kind: str) -> str:
    text = f"value:{name}::varchar" if "timestamp" in kind else f"value:{name}"
    return text if kind.strip() == "variant" else f"{text}::{kind.strip()}"
