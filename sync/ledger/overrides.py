"""Rows of ``endpoint_overrides``: each is written once, and expires or is cleared once."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sync.ledger.replacing import older_than
from sync.ledger.tables import ENDPOINT_OVERRIDES
from sync.warehouse import Warehouse


def in_force(warehouse: Warehouse) -> str:
    """A query for each endpoint's active row; the newest if there are several."""
    return f"""
        select
            endpoint_id, enterprise_customer_uuid, url, timeout_seconds, reason, set_at, set_by,
            until_at
        from {warehouse.relation("sync", ENDPOINT_OVERRIDES)}
        where cleared_at is null and until_at > sysdate()
        qualify row_number() over (
            partition by endpoint_id order by set_at desc, override_id
        ) = 1
    """


def override_rows(warehouse: Warehouse) -> list[dict[str, Any]]:
    """The active rows, by endpoint."""
    return warehouse.rows(f"select * from ({in_force(warehouse)}) as found order by endpoint_id")


def add_override(
    warehouse: Warehouse,
    endpoint_id: int,
    *,
    enterprise: str | None,
    url: str | None,
    timeout_seconds: int | None,
    until: datetime,
    reason: str,
    by: str,
    now: datetime,
) -> str:
    """Override what is not None, from now on; returns the override's id. Times are naive UTC."""
    override_id = str(uuid.uuid4())
    warehouse.execute(
        f"""
        insert into {warehouse.relation("sync", ENDPOINT_OVERRIDES)} (
            override_id, endpoint_id, enterprise_customer_uuid, url, timeout_seconds, reason,
            set_at, set_by, until_at, updated_at
        )
        select
            ?,
            ?,
            nullif(?, ''),
            nullif(?, ''),
            nullif(?, '')::number(38, 0),
            ?,
            cast(? as timestamp_ntz),
            ?,
            cast(? as timestamp_ntz),
            sysdate()
        """,
        override_id,
        endpoint_id,
        enterprise or "",
        url or "",
        "" if timeout_seconds is None else str(timeout_seconds),
        reason,
        now.isoformat(),
        by,
        until.isoformat(),
    )
    return override_id


def clear_overrides(
    warehouse: Warehouse, endpoint_id: int, *, by: str, now: datetime, but: str | None = None
) -> int:
    """End an endpoint's active overrides; returns how many there were.

    ``but`` is an override made at ``now``; only older ones are ended, since it replaces them.
    """
    older, binds = older_than(but, now, made_at="set_at", key="override_id")
    return warehouse.execute(
        f"""
        update {warehouse.relation("sync", ENDPOINT_OVERRIDES)}
        set cleared_at = cast(? as timestamp_ntz), cleared_by = ?, updated_at = sysdate()
        where endpoint_id = ?
            and cleared_at is null
            and until_at > cast(? as timestamp_ntz)
            {older}
        """,
        now.isoformat(),
        by,
        endpoint_id,
        now.isoformat(),
        *binds,
    )
