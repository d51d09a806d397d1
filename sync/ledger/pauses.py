"""Rows of ``pauses``: each is written once and ended once."""

from __future__ import annotations

import uuid
from datetime import datetime

from sync.domain.circuit_breaker import DISABLE_AFTER
from sync.domain.pauses import Pause, Pauses
from sync.ledger.replacing import older_than
from sync.ledger.tables import PAUSES
from sync.warehouse import Warehouse


def read_pauses(warehouse: Warehouse, now: datetime) -> Pauses:
    """Active pauses, and those within the period of failures that disables an endpoint.

    One statement. ``now`` is naive UTC.
    """
    rows = warehouse.rows(
        f"""
        select
            pause_id,
            enterprise_customer_uuid,
            endpoint_id,
            reason,
            paused_at,
            paused_by,
            -- Only one that is on is resumed, so before its end.
            coalesce(resumed_at, until_at) as ends_at
        from {warehouse.relation("sync", PAUSES)}
        where coalesce(resumed_at, until_at, cast(? as timestamp_ntz)) >= cast(? as timestamp_ntz)
        order by paused_at, pause_id
        """,
        now.isoformat(),
        (now - DISABLE_AFTER).isoformat(),
    )
    return Pauses([Pause(**row) for row in rows], now)


def add_pause(
    warehouse: Warehouse,
    *,
    enterprise: str | None,
    endpoint_id: int | None,
    until: datetime | None,
    reason: str,
    by: str,
    now: datetime,
) -> str:
    """Pause a selection from now on; returns the pause's id. Times are naive UTC."""
    pause_id = str(uuid.uuid4())
    warehouse.execute(
        f"""
        insert into {warehouse.relation("sync", PAUSES)} (
            pause_id, enterprise_customer_uuid, endpoint_id, reason, paused_at, paused_by,
            until_at, updated_at
        )
        select
            ?,
            nullif(?, ''),
            nullif(?, '')::number(38, 0),
            ?,
            cast(? as timestamp_ntz),
            ?,
            nullif(?, '')::timestamp_ntz,
            sysdate()
        """,
        pause_id,
        enterprise or "",
        "" if endpoint_id is None else str(endpoint_id),
        reason,
        now.isoformat(),
        by,
        "" if until is None else until.isoformat(),
    )
    return pause_id


def end_pauses(
    warehouse: Warehouse,
    *,
    enterprise: str | None,
    endpoint_id: int | None,
    by: str,
    now: datetime,
    but: str | None = None,
) -> int:
    """End a selection's active pauses; returns how many there were.

    ``but`` is a pause made at ``now``; only older ones are ended, since it replaces them.
    """
    older, binds = older_than(but, now, made_at="paused_at", key="pause_id")
    return warehouse.execute(
        f"""
        update {warehouse.relation("sync", PAUSES)}
        set resumed_at = cast(? as timestamp_ntz), resumed_by = ?, updated_at = sysdate()
        where coalesce(enterprise_customer_uuid, '') = ?
            and coalesce(endpoint_id::varchar, '') = ?
            and resumed_at is null
            and coalesce(until_at > cast(? as timestamp_ntz), true)
            {older}
        """,
        now.isoformat(),
        by,
        enterprise or "",
        "" if endpoint_id is None else str(endpoint_id),
        now.isoformat(),
        *binds,
    )
