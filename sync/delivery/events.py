"""Recorded events with the marts' current facts: read at each build, stored nowhere else.

The ledger holds only ids and keys. So withdrawn consent, a changed address and a corrected name
apply to every message that is not built yet, however long it has waited and for whatever reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sync.clock import Clock
from sync.domain.event_types import EventType, event_types
from sync.domain.states import Reason, State
from sync.domain.work import Event
from sync.ledger.claims import DUE
from sync.ledger.due import IS_OPEN
from sync.ledger.messages import OF_ROW
from sync.ledger.tables import MESSAGES, OUTBOX
from sync.warehouse import NoResponse, StatementFailed, Warehouse

NEVER_SENT_AND_LOST = f"""
    (
        {{row}}.build_id is not null
        and {{row}}.state in ('{State.PENDING}', '{State.HELD}')
        and {{row}}.fence = 0
        and configured.endpoint_id is null
    )
"""
"""Messages that were never sent and whose endpoint no longer exists: they are built again, for the
customer's current endpoint. A row that was ever claimed has a fence, and may have been sent.
``configured`` is as ``outbox_and_endpoints`` joins it."""
UNDECIDED = f"""
    {IS_OPEN}
    and (
        {{row}}.build_id is null and {{row}}.state in ('{State.AWAITING}', '{State.HELD}')
        or {NEVER_SENT_AND_LOST}
    )
"""
"""Rows whose message must be built."""
BUILT_AND_HELD = f"""
    {IS_OPEN} and {{row}}.build_id is not null and {{row}}.state = '{State.HELD}'
"""
"""Messages that wait for their endpoint, possibly for weeks."""


class MartUnreadable(StatementFailed):
    """A mart of events cannot be read: none of its messages is built or released, none is lost."""

    def __init__(self, source: EventType, error: StatementFailed) -> None:
        beside = "" if source.found_in is None else f" or marts.{source.found_in}"
        super().__init__(
            f"marts.{source.mart}{beside} cannot be read, so no message of type {source.name} is "
            f"built and no held one is released until it can be read; nothing is lost. {error}"
        )


class EventTypeUnknown(MartUnreadable):
    """The outbox has rows of an event type that no file describes."""

    def __init__(self, name: str) -> None:
        StatementFailed.__init__(
            self,
            f"no file describes the event type {name}, so none of its messages is built and no "
            "held one is released; nothing is lost. Put its defs.yaml back, disabled if its "
            "events are no longer wanted",
        )


def described(event_type: str) -> EventType:
    """The event type of outbox rows, by its name.

    Raises:
        EventTypeUnknown: its file is gone.
    """
    source = event_types().get(event_type)
    if source is None:
        raise EventTypeUnknown(event_type)
    return source


def undecided_types(warehouse: Warehouse) -> list[str]:
    """The event types with undecided rows, completions first; one statement."""
    rows = warehouse.rows(
        f"select distinct outbox.event_type from {outbox_and_endpoints(warehouse)}"
        f" where {UNDECIDED.format(row='outbox')}"
    )
    return sorted(row["event_type"] for row in rows)


def undecided(warehouse: Warehouse, event_type: str, *, page: int) -> Iterator[Sequence[Event]]:
    """Undecided rows of one event type, by id, in pages, with the mart's current facts for each.

    A row that is decided between pages is not returned again.

    Raises:
        MartUnreadable: names the mart and gives the engine's error.
        NoResponse: the warehouse is unreachable.
    """
    source = described(event_type)
    after = ""
    while rows := read_with_facts(
        warehouse,
        source,
        f"""
        select
            outbox.webhook_id, outbox.event_type, outbox.enterprise_customer_uuid,
            outbox.user_id, outbox.courserun_key, outbox.recorded_at, outbox.state,
            outbox.state_reason, outbox.corrects_webhook_id, outbox.correction_number,
            iff(outbox.build_id is null, null, outbox.endpoint_id) as lost_endpoint_id
        from {outbox_and_endpoints(warehouse)}
        where {UNDECIDED.format(row="outbox")}
            and outbox.event_type = '{source.name}'
            and outbox.webhook_id > ?
        order by outbox.webhook_id
        limit {int(page)}
        """,
        after,
    ):
        yield rows
        after = rows[-1].webhook_id


def read_with_facts(
    warehouse: Warehouse, source: EventType, rows: str, *binds: object
) -> list[Event]:
    """Rows of one event type, by id, with the mart's current facts for each.

    ``rows`` is a query with the columns of ``Event`` except ``facts``, and the outbox's correction
    columns. An event that the mart holds twice is returned once.

    Raises:
        MartUnreadable: names the mart and gives the engine's error.
        NoResponse: the warehouse is unreachable.
    """
    told = "null as told_learning_time_seconds, null as tolerance_seconds"
    told_by = ""
    if source.found_in is not None:
        told = "told.told_learning_time_seconds, told.tolerance_seconds"
        told_by = f"""
            left join {warehouse.relation("marts", source.found_in)} as told
                on page.corrects_webhook_id = told.corrects_webhook_id
                -- Of several the highest number counts, so one below it has nothing to say.
                and page.correction_number > told.told_correction_number
        """
    query = f"""
        select
            page.webhook_id, page.event_type, page.enterprise_customer_uuid, page.user_id,
            page.courserun_key, page.recorded_at, page.state, page.state_reason,
            page.lost_endpoint_id, page.corrects_webhook_id, page.correction_number,
            {told},
            to_json(seen.facts) as facts
        from ({rows}) as page
        {told_by}
        left join (
            select
                events.enterprise_customer_uuid,
                events.user_id,
                events.courserun_key,
                events.{source.occurred_at} as occurred_at,
                object_construct({source.fact_pairs})::variant as facts
            from {events_of(warehouse, source)} as events
        ) as seen
            on page.enterprise_customer_uuid = seen.enterprise_customer_uuid
            and page.user_id = seen.user_id
            and page.courserun_key = seen.courserun_key
        qualify row_number() over (
            partition by page.webhook_id order by seen.occurred_at, to_json(seen.facts)
        ) = 1
        order by page.webhook_id
    """
    try:
        found = warehouse.rows(query, *binds)
    except NoResponse:
        raise
    except StatementFailed as error:
        raise MartUnreadable(source, error) from error
    return [Event.from_row(row) for row in found]


def events_of(warehouse: Warehouse, source: EventType) -> str:
    """The mart of an event type, for ``from``; its key columns are named as in the ledger."""
    return source.rows_of(warehouse.relation("marts", source.mart))


def outbox_and_endpoints(warehouse: Warehouse) -> str:
    """The outbox, with NULL for ``configured.endpoint_id`` where the endpoint no longer exists or
    its id now belongs to another customer."""
    return f"""
        {warehouse.relation("sync", OUTBOX)} as outbox
        left join (
            select distinct endpoint_id, enterprise_customer_uuid
            from {warehouse.relation("marts", "webhook_endpoints")}
        ) as configured
            on outbox.endpoint_id = configured.endpoint_id
            and outbox.enterprise_customer_uuid = configured.enterprise_customer_uuid
    """


def check_held(
    warehouse: Warehouse, event_types: Iterable[str], *, clock: Clock
) -> dict[str, MartUnreadable]:
    """Check against the marts the messages that wait for their endpoint, before they are released.

    A message whose event is gone gets the reason ``no_longer_reportable``; one whose event is back
    loses it, and its endpoint decides what follows. ``event_types`` are those with held messages;
    one statement for each.

    Returns the event types that could not be checked, with the error: release none of them.

    Raises:
        NoResponse: the warehouse is unreachable.
    """
    outbox = warehouse.relation("sync", OUTBOX)
    failed: dict[str, MartUnreadable] = {}
    for event_type in sorted(event_types):
        try:
            source = described(event_type)
        except EventTypeUnknown as error:
            failed[event_type] = error
            continue
        try:
            warehouse.execute(
                f"""
                update {outbox} as outbox
                set
                    state_reason = iff(seen.is_gone, '{Reason.NO_LONGER_REPORTABLE}', null),
                    updated_at = cast(? as timestamp_ntz)
                from ({seen_now(warehouse, source, BUILT_AND_HELD)}) as seen
                where outbox.webhook_id = seen.webhook_id
                    and {BUILT_AND_HELD.format(row="outbox")}
                    and seen.is_gone <> (
                        coalesce(outbox.state_reason, '') = '{Reason.NO_LONGER_REPORTABLE}'
                    )
                """,
                clock().isoformat(),
            )
        except NoResponse:
            raise
        except StatementFailed as error:
            failed[event_type] = MartUnreadable(source, error)
    return failed


def seen_now(warehouse: Warehouse, source: EventType, which: str) -> str:
    """A query for messages of one event type: ``webhook_id``, and ``is_gone``, true where the mart
    no longer holds the event. ``which`` is a condition on ``{row}`` of the outbox."""
    return f"""
        select old.webhook_id, max(iff(events.user_id is null, 1, 0)) = 1 as is_gone
        from {warehouse.relation("sync", OUTBOX)} as old
        left join {events_of(warehouse, source)} as events
            on old.enterprise_customer_uuid = events.enterprise_customer_uuid
            and old.user_id = events.user_id
            and old.courserun_key = events.courserun_key
        where {which.format(row="old")}
            and old.event_type = '{source.name}'
        group by old.webhook_id
    """


def due_messages(warehouse: Warehouse, *, now: datetime) -> tuple[str, tuple[str, ...]]:
    """A query for messages that are due, or held and could be released; and its binds.

    For a held message, ``is_gone`` is whether the mart no longer holds its event.
    """
    held = warehouse.rows(
        f"select distinct event_type from {warehouse.relation('sync', OUTBOX)} as outbox"
        f" where {BUILT_AND_HELD.format(row='outbox')}"
    )
    seen = " union all ".join(
        seen_now(warehouse, described(row["event_type"]), BUILT_AND_HELD) for row in held
    )
    is_gone = "coalesce(seen.is_gone, false)" if held else "false"
    query = f"""
        select
            outbox.webhook_id, outbox.event_type, outbox.enterprise_customer_uuid,
            outbox.courserun_key, outbox.region, outbox.endpoint_id, outbox.payload_format,
            messages.body, messages.enrichment_outcome, messages.learning_time_seconds,
            outbox.replay_id, outbox.next_attempt_at, {is_gone} as is_gone
        from {outbox_and_endpoints(warehouse)}
        inner join {warehouse.relation("sync", MESSAGES)} as messages
            on {OF_ROW.format(row="outbox")}
        {f"left join ({seen}) as seen on outbox.webhook_id = seen.webhook_id" if held else ""}
        where {IS_OPEN.format(row="outbox")} and (
            {DUE.format(row="outbox")}
            or {BUILT_AND_HELD.format(row="outbox")}
                and outbox.next_attempt_at <= cast(? as timestamp_ntz)
        )
        and not {NEVER_SENT_AND_LOST.format(row="outbox")}
    """
    return query, (now.isoformat(),) * 3
