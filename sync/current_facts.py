"""The facts of events as the marts have them now, for rows whose message is not frozen."""

from __future__ import annotations

from sync.clock import Clock
from sync.event_sources import COMPLETIONS, SOURCES, EventSource
from sync.facts import EventType
from sync.ledger import OUTBOX
from sync.warehouse import Warehouse


def refresh_held(warehouse: Warehouse, *, clock: Clock) -> int:
    """Read the facts of held, unsent events again, so that a mended row can go; how many.

    A learner's missing identity or an unusable grade is mended in the LMS; the outbox holds what
    it saw at detection. Frozen messages are never touched.
    """
    outbox = warehouse.relation("sync", OUTBOX)
    held = warehouse.rows(
        f"select distinct event_type from {outbox} where state = 'held' and body is null"
    )
    return sum(
        _refresh(warehouse, SOURCES[EventType(row["event_type"])], outbox, clock) for row in held
    )


def _refresh(warehouse: Warehouse, source: EventSource, outbox: str, clock: Clock) -> int:
    return warehouse.execute(
        f"""
        update {outbox} as outbox
        set facts = seen.facts, updated_at = cast(? as timestamp_ntz)
        from ({current_facts(warehouse, source)}) as seen
        where outbox.state = 'held'
            and outbox.body is null
            and outbox.event_type = '{source.event_type}'
            and outbox.enterprise_customer_uuid = seen.enterprise_customer_uuid
            and outbox.user_id = seen.user_id
            and outbox.courserun_key = seen.courserun_key
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
