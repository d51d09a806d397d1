"""The facts of events as the marts have them now, for rows whose message is not frozen."""

from __future__ import annotations

from sync.clock import Clock
from sync.contract.facts import EventType
from sync.detection.event_sources import COMPLETIONS, SOURCES, EventSource
from sync.ledger.tables import OUTBOX
from sync.warehouse import Warehouse

REREAD = """
    {row}.body is null
    and ({row}.state = 'held' or {row}.state = 'awaiting' and {row}.replay_id is not null)
"""
"""Undecided rows that have waited for days, maybe: held ones, and suppressed ones let go."""


def refresh_facts(warehouse: Warehouse, *, clock: Clock) -> int:
    """Read the facts of undecided events of old again, so that a mended row can go; how many.

    A learner's missing identity or an unusable grade is mended in the LMS; the outbox holds what
    it saw at detection. An event that the marts no longer hold loses its facts: consent may have
    been withdrawn while it waited. Frozen messages are never touched.
    """
    outbox = warehouse.relation("sync", OUTBOX)
    old = warehouse.rows(
        f"select distinct event_type from {outbox} as outbox where {REREAD.format(row='outbox')}"
    )
    return sum(
        _refresh(warehouse, SOURCES[EventType(row["event_type"])], outbox, clock) for row in old
    )


def _refresh(warehouse: Warehouse, source: EventSource, outbox: str, clock: Clock) -> int:
    return warehouse.execute(
        f"""
        update {outbox} as outbox
        set facts = seen.facts, updated_at = cast(? as timestamp_ntz)
        from (
            select old.webhook_id, fresh.facts
            from {outbox} as old
            left join ({current_facts(warehouse, source)}) as fresh
                on old.enterprise_customer_uuid = fresh.enterprise_customer_uuid
                and old.user_id = fresh.user_id
                and old.courserun_key = fresh.courserun_key
            where {REREAD.format(row="old")}
                and old.event_type = '{source.event_type}'
        ) as seen
        where outbox.webhook_id = seen.webhook_id
            and {REREAD.format(row="outbox")}
        """,
        clock().isoformat(),
    )


def current_facts(warehouse: Warehouse, source: EventSource = COMPLETIONS) -> str:
    """A query for the natural key and the facts of every event as the mart has it now."""
    return f"""
        select
            events.enterprise_customer_uuid,
            events.user_id,
            events.courserun_key,
            object_construct({source.facts})::variant as facts
        from {warehouse.relation("marts", source.mart)} as events
    """
