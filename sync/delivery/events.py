"""Recorded events with what the marts know of them now: read at each build, kept nowhere else.

The ledger holds ids and keys only. So consent that was withdrawn, a changed address and a corrected
name count for every message that is not built yet, however long it has waited and for what.
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
"""Messages that nobody was ever sent and whose endpoint exists no more: they are built again, for
the customer's endpoint of now. A row that was ever claimed has a fence; its bytes may be out.
``configured`` is as ``outbox_and_endpoints`` joins it."""
UNDECIDED = f"""
    {IS_OPEN}
    and (
        {{row}}.build_id is null and {{row}}.state in ('{State.AWAITING}', '{State.HELD}')
        or {NEVER_SENT_AND_LOST}
    )
"""
"""Rows whose message is to be built."""
BUILT_AND_HELD = f"""
    {IS_OPEN} and {{row}}.build_id is not null and {{row}}.state = '{State.HELD}'
"""
"""Messages that wait for their endpoint, for weeks maybe."""


class MartUnreadable(StatementFailed):
    """A mart of events cannot be read: none of its messages is built or released, none is lost."""

    def __init__(self, source: EventType, error: StatementFailed) -> None:
        beside = "" if source.found_in is None else f" or marts.{source.found_in}"
        super().__init__(
            f"marts.{source.mart}{beside} cannot be read, so no message of type {source.name} is "
            f"built and none that is held is released until it can; nothing is lost. {error}"
        )


class EventTypeUnknown(MartUnreadable):
    """No file describes an event type of which the outbox has rows."""

    def __init__(self, name: str) -> None:
        StatementFailed.__init__(
            self,
            f"no file describes the event type {name}, so none of its messages is built and none "
            "that is held is released; nothing is lost. Put its defs.yaml back, switched off if "
            "no more of them are wanted",
        )


def described(event_type: str) -> EventType:
    """The event type that rows of the outbox are of.

    Raises:
        EventTypeUnknown: its file is gone.
    """
    source = event_types().get(event_type)
    if source is None:
        raise EventTypeUnknown(event_type)
    return source


def undecided_types(warehouse: Warehouse) -> list[str]:
    """The event types that have rows without a message, completions first; one statement."""
    rows = warehouse.rows(
        f"select distinct outbox.event_type from {outbox_and_endpoints(warehouse)}"
        f" where {UNDECIDED.format(row='outbox')}"
    )
    return sorted(row["event_type"] for row in rows)


def undecided(warehouse: Warehouse, event_type: str, *, page: int) -> Iterator[Sequence[Event]]:
    """Rows of one kind without a message, by id, in pages, with what the mart knows of each now.

    A row that is decided meanwhile does not come again.

    Raises:
        MartUnreadable: names the mart, with what the engine says.
        NoResponse: the warehouse is away.
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
    """Rows of one kind, by id, with what the mart knows of each now.

    ``rows`` is a query with the columns of ``Event`` but ``facts``, and the outbox's of its
    correction. An event that the mart holds twice comes once.

    Raises:
        MartUnreadable: names the mart, with what the engine says.
        NoResponse: the warehouse is away.
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
    """The mart of a kind of events, its key by the names of the ledger; for ``from``."""
    return source.rows_of(warehouse.relation("marts", source.mart))


def outbox_and_endpoints(warehouse: Warehouse) -> str:
    """The outbox, with NULL for ``configured.endpoint_id`` where an endpoint exists no more, or its
    id is another customer's by now."""
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
    """Look up in the marts what is about to be released: messages that wait for their endpoint.

    One whose event is gone gets the reason ``no_longer_reportable``; one whose event is back loses
    it, and its endpoint says what follows. ``event_types`` are those of which something is held;
    one statement for each.

    The kinds of events that could not be looked up, with why: release none of them.

    Raises:
        NoResponse: the warehouse is away.
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
    """A query for messages of one kind: ``webhook_id``, and ``is_gone`` where the mart no longer
    holds the event. ``which`` is a condition on ``{row}`` of the outbox."""
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
    """A query for messages that are due, or held and could be released, and its binds.

    ``is_gone`` says of a held one whether the mart no longer holds its event.
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
