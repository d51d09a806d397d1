"""What operators asked for: one row of ``sync.replays`` for each request that moved webhooks."""

from __future__ import annotations

from sync.ledger.tables import REPLAYS
from sync.warehouse import Warehouse


def recorded_matches(warehouse: Warehouse, request_id: str | None) -> int | None:
    """How many webhooks a request has moved; None when no request with this id is recorded."""
    if request_id is None:
        return None
    rows = warehouse.rows(
        f"select matched from {warehouse.relation('sync', REPLAYS)} where replay_id = ?", request_id
    )
    return int(rows[0]["matched"]) if rows else None


def not_yet_recorded(warehouse: Warehouse) -> str:
    """The condition, for the statement that moves the webhooks, with the request's id as its bind.

    A repetition that looked before the first one committed would move them once more.
    """
    return f"""
        not exists (
            select 1 from {warehouse.relation("sync", REPLAYS)} as asked
            where asked.replay_id = ?
        )
    """


def record_request(
    warehouse: Warehouse,
    request_id: str,
    *,
    requested_at: str,
    requested_by: str,
    selection: str,
    matched: int,
) -> None:
    """Add the row, in the transaction that moves the webhooks. ``selection`` is JSON.

    ``requested_at`` is naive UTC, ISO 8601.
    """
    warehouse.execute(
        f"""
        insert into {warehouse.relation("sync", REPLAYS)}
            (replay_id, requested_at, requested_by, selection, matched)
        select ?, cast(? as timestamp_ntz), ?, parse_json(?), ?
        """,
        request_id,
        requested_at,
        requested_by[:200],
        selection,
        matched,
    )
