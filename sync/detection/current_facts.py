"""Events as the marts have them now, for rows that have waited for long."""

from __future__ import annotations

from sync.clock import Clock
from sync.contract.facts import EventType
from sync.detection.event_sources import COMPLETIONS, SOURCES, EventSource
from sync.ledger.outbox import NO_LONGER_REPORTABLE
from sync.ledger.tables import OUTBOX
from sync.warehouse import Warehouse

REREAD = """
    {row}.body is null
    and ({row}.state = 'held' or {row}.state = 'awaiting' and {row}.replay_id is not null)
"""
"""Undecided rows that have waited for days, maybe: held ones, and suppressed ones let go."""


FROZEN_AND_HELD = "{row}.body is not null and {row}.state = 'held'"
"""Messages that wait for their endpoint, for weeks maybe."""


def look_again(warehouse: Warehouse, *, clock: Clock) -> None:
    """Compare rows that have waited for long with the marts; one statement while there are none.

    Of undecided ones the facts are read again: a learner's missing identity or an unusable grade is
    mended in the LMS, and the outbox holds what it saw at detection. Frozen messages stay as they
    are. Neither is sent while the marts do not hold its event any more, since consent may have been
    withdrawn meanwhile.
    """
    outbox = warehouse.relation("sync", OUTBOX)
    undecided, frozen = REREAD.format(row="outbox"), FROZEN_AND_HELD.format(row="outbox")
    found = warehouse.rows(
        f"""
        select
            event_type,
            max(iff({undecided}, 1, 0)) as has_undecided,
            max(iff({frozen}, 1, 0)) as has_frozen
        from {outbox} as outbox
        where {undecided} or {frozen}
        group by event_type
        """
    )
    for row in found:
        source = SOURCES[EventType(row["event_type"])]
        if row["has_undecided"]:
            _refresh(warehouse, source, outbox, clock)
        if row["has_frozen"]:
            _judge_frozen(warehouse, source, outbox, clock)


def _refresh(warehouse: Warehouse, source: EventSource, outbox: str, clock: Clock) -> None:
    warehouse.execute(
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


def _judge_frozen(warehouse: Warehouse, source: EventSource, outbox: str, clock: Clock) -> None:
    """A row whose event is back has no reason any more; its endpoint says what follows."""
    warehouse.execute(
        f"""
        update {outbox} as outbox
        set
            state_reason = iff(seen.is_gone, '{NO_LONGER_REPORTABLE}', null),
            updated_at = cast(? as timestamp_ntz)
        from ({frozen_and_held(warehouse, source)}) as seen
        where outbox.webhook_id = seen.webhook_id
            and {FROZEN_AND_HELD.format(row="outbox")}
            and seen.is_gone <> (coalesce(outbox.state_reason, '') = '{NO_LONGER_REPORTABLE}')
        """,
        clock().isoformat(),
    )


def frozen_and_held(warehouse: Warehouse, source: EventSource) -> str:
    """A query for messages that wait for their endpoint: ``webhook_id``, and ``is_gone`` where the
    mart no longer holds the event."""
    return f"""
        select old.webhook_id, max(iff(events.user_id is null, 1, 0)) = 1 as is_gone
        from {warehouse.relation("sync", OUTBOX)} as old
        left join {warehouse.relation("marts", source.mart)} as events
            on old.enterprise_customer_uuid = events.enterprise_customer_uuid
            and old.user_id = events.user_id
            and old.courserun_key = events.courserun_key
        where {FROZEN_AND_HELD.format(row="old")}
            and old.event_type = '{source.event_type}'
        group by old.webhook_id
    """


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
