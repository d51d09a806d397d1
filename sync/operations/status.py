"""The state of deliveries in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sync.clock import warehouse_clock
from sync.delivery.learning_time import computed_through
from sync.domain.states import State
from sync.ledger.due import SENDABLE_AT, WAITS_TO_BE_SENT
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.identity import ledger_identity
from sync.ledger.journal import JournalFailed, foreign_journals
from sync.ledger.pauses import read_pauses
from sync.ledger.tables import ENDPOINT_STATE, OUTBOX, ensure_ledger
from sync.operations.endpoints import disabled_text, overrides_in_force, waits_text
from sync.operations.pauses import as_dicts
from sync.warehouse import StatementFailed, Warehouse


@dataclass(frozen=True, kw_only=True)
class Status:
    """Counts of webhooks by state; times are naive UTC."""

    now: datetime
    """The warehouse's."""
    states: dict[str, int]
    oldest_due_at: datetime | None
    """Of those that can be sent; if none can, when the first one will be."""
    due_now: int
    """Webhooks that a run would claim now; none for an endpoint that gets nothing."""
    due_when_resumed: int
    """Webhooks that a run would claim now if they were not paused."""
    oldest_due_age_seconds: int | None
    """How long the oldest due one has been due; None when none is."""
    replays_waiting: int
    """Delivered webhooks that an operator replays; due like any other."""
    held_by_reason: dict[str, int]
    endpoints_blocked: dict[int, str]
    """Endpoints that get nothing now, and why."""
    pauses: list[dict[str, object]]
    """What operators have paused, who, why and until when, and what ends it."""
    overrides: list[str]
    """Endpoints that an operator has given another URL or timeout than the LMS, and until when."""
    awaiting_since: datetime | None
    """When the oldest event without a message was recorded; None if there is none."""
    awaiting_until: datetime | None
    """The latest time until which it waits for its learning time."""
    foreign_journals: list[str]
    """Journals in this machine's directory that were written for other ledgers and are left alone,
    or why one of them cannot be read."""
    computed_through: datetime | None
    """None when the models were never built or no line was loaded."""

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return vars(self) | {"dead": self.states.get(State.DEAD, 0)}


def read_status(
    warehouse: Warehouse, *, journals: Path | None = None, max_wait: timedelta = timedelta(0)
) -> Status:
    """Read the ledger, the watermark and the directory of ``journals``.

    ``max_wait`` is how long a completion may wait for its learning time: zero while the flag is
    off.

    Raises:
        StatementFailed: the ledger cannot be read.
    """
    ensure_ledger(warehouse)
    now = warehouse_clock(warehouse)()
    outbox = warehouse.relation("sync", OUTBOX)
    states = warehouse.rows(
        f"select state, count(*) as n, min(recorded_at) as oldest_at from {outbox}"
        " group by state order by state"
    )
    pauses = read_pauses(warehouse, now)
    waiting = warehouse.rows(
        f"""
        select
            waiting.endpoint_id,
            waiting.enterprise_customer_uuid,
            min(waiting.sendable_at) as first_at,
            min(iff(waiting.sendable_at <= now.value, waiting.next_attempt_at, null)) as since,
            -- Distinct, since an endpoint may have two rows of state for a while.
            count(distinct iff(waiting.sendable_at <= now.value, waiting.webhook_id, null)) as n
        from (
            select
                outbox.webhook_id,
                outbox.endpoint_id,
                outbox.enterprise_customer_uuid,
                outbox.next_attempt_at,
                {SENDABLE_AT.format(row="outbox", endpoint="endpoint")} as sendable_at
            from {outbox} as outbox
            left join {warehouse.relation("sync", ENDPOINT_STATE)} as endpoint
                on outbox.endpoint_id = endpoint.endpoint_id
            where {WAITS_TO_BE_SENT.format(row="outbox")} and endpoint.disabled_at is null
        ) as waiting
        cross join (select cast(? as timestamp_ntz) as value) as now
        group by waiting.endpoint_id, waiting.enterprise_customer_uuid
        """,
        now.isoformat(),
    )
    due, paused = [], []
    for row in waiting:
        pause = pauses.of(int(row["endpoint_id"]), row["enterprise_customer_uuid"])
        (due if pause is None else paused).append(row)
    since = min((row["since"] for row in due if row["since"] is not None), default=None)
    first_at = min((row["first_at"] for row in due), default=None)
    awaiting_since = next(
        (row["oldest_at"] for row in states if row["state"] == State.AWAITING), None
    )
    held = warehouse.rows(
        f"""
        select coalesce(state_reason, 'unknown') as reason, count(*) as n
        from {outbox}
        where state = '{State.HELD}'
        group by reason
        order by reason
        """
    )
    return Status(
        now=now,
        states={row["state"]: int(row["n"]) for row in states},
        oldest_due_at=first_at if since is None else since,
        due_now=sum(int(row["n"]) for row in due),
        due_when_resumed=sum(int(row["n"]) for row in paused),
        oldest_due_age_seconds=(None if since is None else (now - since) // timedelta(seconds=1)),
        replays_waiting=replays_waiting(warehouse),
        held_by_reason={row["reason"]: int(row["n"]) for row in held},
        endpoints_blocked=_blocked(warehouse, now),
        pauses=as_dicts(pauses),
        overrides=[str(one) for one in overrides_in_force(warehouse).values()],
        awaiting_since=awaiting_since,
        awaiting_until=None if awaiting_since is None else awaiting_since + max_wait,
        foreign_journals=_foreign_journals(warehouse, journals),
        computed_through=_computed_through(warehouse),
    )


def replays_waiting(warehouse: Warehouse) -> int:
    """Delivered webhooks that the next delivery run sends again."""
    return warehouse.value(
        f"""
        select count(*) as n from {warehouse.relation("sync", OUTBOX)}
        where state = '{State.DELIVERED}' and replay_id is not null
        """
    )


def _foreign_journals(warehouse: Warehouse, directory: Path | None) -> list[str]:
    if directory is None:
        return []
    try:
        return [str(one) for one in foreign_journals(directory, ledger_identity(warehouse))]
    except JournalFailed as error:
        # This may be exactly what the operator is looking for.
        return [str(error)]


def _blocked(warehouse: Warehouse, now: datetime) -> dict[int, str]:
    rows = warehouse.rows(
        f"select endpoint_id from {warehouse.relation('sync', ENDPOINT_STATE)} order by endpoint_id"
    )
    states = EndpointStates(warehouse).load(int(row["endpoint_id"]) for row in rows)
    return {
        key: waits_text(state, now) if state.disabled_at is None else disabled_text(state)
        for key, state in states.items()
        if state.is_blocked_at(now)
    }


def _computed_through(warehouse: Warehouse) -> datetime | None:
    try:
        return computed_through(warehouse)
    except StatementFailed:
        # Before the first dbt build there is no mart, which is not a failure.
        return None
