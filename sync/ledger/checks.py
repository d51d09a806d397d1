"""Ledger invariants that no dbt test can check: bodies, leases, rows about to be sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sync.clock import warehouse_clock
from sync.domain.states import UNFINISHED, Reason, State, sql_list
from sync.ledger.due import IS_OPEN
from sync.ledger.messages import OF_ROW
from sync.ledger.tables import ATTEMPTS, MESSAGES, OUTBOX
from sync.warehouse import Warehouse

EXAMPLES = 10
"""Ids that a check lists; ``count`` has the total."""
RECENT_DAYS = 7
"""How far back a check looks that runs every few minutes; older rows were already checked."""


@dataclass(frozen=True)
class Findings:
    """Webhooks that violate a rule."""

    count: int
    webhook_ids: tuple[str, ...]
    """Some of them, in order; ids identify no person."""


def recorded_twice(warehouse: Warehouse) -> Findings:
    """Events that are in the outbox more than once, with a copy that has yet to be sent.

    The warehouse enforces no key, and each copy would be sent: the same id twice, perhaps with
    different bodies. Copies have the same event time, so rows before the oldest event yet to be
    sent are not read, and none are read if there is no such event. The dbt test
    ``stg_sync__webhooks_one_row_per_event`` checks all rows.

    Raises:
        StatementFailed: the ledger cannot be read.
    """
    outbox = warehouse.relation("sync", OUTBOX)
    oldest = warehouse.value(
        f"select min(occurred_at) as occurred_at from {outbox} as outbox"
        f" where {IS_OPEN.format(row='outbox')}"
    )
    if oldest is None:
        return Findings(0, ())
    return _findings(
        warehouse,
        f"""
        select min(webhook_id) as webhook_id
        from {outbox}
        where occurred_at >= cast(? as timestamp_ntz)
        group by event_type, enterprise_customer_uuid, user_id, courserun_key, correction_number
        having count(*) > 1
            and max(iff(state in {sql_list(UNFINISHED)}, 1, 0)) = 1
        """,
        oldest.isoformat(),
    )


def bodies_that_differ(warehouse: Warehouse) -> Findings:
    """Recent messages whose body has a different learning time than the ledger, lacks it, or has
    one that the ledger lacks.

    v2 has it in ``learning_time.total_seconds``, Percipio's body in ``duration_spent``, in minutes
    for endpoints that want minutes. Bodies of other formats are not read: SQL would have to know
    their conversions.

    Raises:
        StatementFailed: the ledger cannot be read.
    """
    return _findings(
        warehouse,
        f"""
        with messages as (
            select
                messages.webhook_id,
                outbox.payload_format,
                messages.learning_time_seconds,
                coalesce(messages.enrichment_outcome = 'found', false) as is_enriched,
                parse_json(messages.body) as document
            from {warehouse.relation("sync", MESSAGES)} as messages
            inner join {warehouse.relation("sync", OUTBOX)} as outbox
                on {OF_ROW.format(row="outbox")}
            where messages.body is not null
                and messages.frozen_at >= cast(? as timestamp_ntz)
                -- A row changes when its message is built, so no other partition is read.
                and outbox.updated_at >= cast(? as timestamp_ntz)
                and outbox.payload_format in ('v2', 'percipio')
        ),
        read as (
            select
                webhook_id,
                payload_format,
                is_enriched,
                learning_time_seconds as recorded,
                coalesce(
                    document:learning_time.total_seconds::number(38, 0),
                    document:duration_spent::number(38, 0)
                ) as written
            from messages
        )
        select webhook_id
        from read
        where iff(
            is_enriched,
            written is null
                or recorded is null
                or written <> recorded
                -- A rounded minute is at most half a minute off.
                and (payload_format = 'v2' or abs(written * 60 - recorded) > 30),
            written is not null
        )
        """,
        _days_ago(warehouse, RECENT_DAYS),
        _days_ago(warehouse, RECENT_DAYS),
    )


def successes_not_settled(warehouse: Warehouse) -> Findings:
    """Webhooks with a logged 2xx that are not delivered, and delivered ones with neither a logged
    2xx nor a receipt.

    Leased rows are left out: a run may be between logging an attempt and updating its row, and the
    next run settles what a dead run left there.

    Raises:
        StatementFailed: the ledger cannot be read.
    """
    recent = _days_ago(warehouse, RECENT_DAYS)
    return _findings(
        warehouse,
        f"""
        with successes as (
            select distinct webhook_id
            from {warehouse.relation("sync", ATTEMPTS)}
            where outcome = '{State.DELIVERED}'
                and started_at >= cast(? as timestamp_ntz)
        )
        select outbox.webhook_id
        from {warehouse.relation("sync", OUTBOX)} as outbox
        left join successes
            on outbox.webhook_id = successes.webhook_id
        where outbox.updated_at >= cast(? as timestamp_ntz)
            and (outbox.lease_expires_at is null or outbox.lease_expires_at < sysdate())
            and iff(
                outbox.state = '{State.DELIVERED}',
                successes.webhook_id is null
                    and coalesce(outbox.state_reason, '') <> '{Reason.RECEIPT}'
                    and coalesce(outbox.delivered_at >= cast(? as timestamp_ntz), true),
                successes.webhook_id is not null
            )
        """,
        # One day more than for the rows: an attempt starts before it ends.
        _days_ago(warehouse, RECENT_DAYS + 1),
        recent,
        recent,
    )


def _days_ago(warehouse: Warehouse, days: int) -> str:
    """A time to compare with, as text: a bound value always prunes partitions, a function call may
    not."""
    return (warehouse_clock(warehouse)() - timedelta(days=days)).isoformat()


def _findings(warehouse: Warehouse, query: str, *binds: object) -> Findings:
    rows = warehouse.rows(
        f"""
        with found as ({query})
        select webhook_id, count(*) over () as n
        from found
        order by webhook_id
        limit {EXAMPLES}
        """,
        *binds,
    )
    return Findings(
        count=int(rows[0]["n"]) if rows else 0,
        webhook_ids=tuple(row["webhook_id"] for row in rows),
    )
