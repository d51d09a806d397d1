"""Record new events in the outbox: each exactly once, and old ones so that they are never sent."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sync.clock import Clock
from sync.delivery.events import events_of, read_with_facts
from sync.domain.event_types import EventType, completions
from sync.domain.states import Reason, State
from sync.domain.work import Event
from sync.ledger.activation import STANDING, activate, recorded_activation
from sync.ledger.endpoint_settings import is_asked_for, newest_settings
from sync.ledger.erasures import not_erased
from sync.ledger.recording_lease import Granted, TakenBy, holder, recording_lease
from sync.ledger.steps import Hook, Step, nothing
from sync.ledger.tables import ACTIVATIONS, OUTBOX
from sync.warehouse import Warehouse

NAMESPACE = uuid.UUID("58b829cf-38bb-5a66-ad03-8b2e3c603667")
"""Namespace of every webhook id, the UUIDv5 of an event's natural key. It must never change: a new
one would create new ids for old events."""
DEFAULT_MASS_SEND_LIMIT = 5_000
ALWAYS = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Recorded:
    """New events were recorded in the outbox."""

    activated_at: datetime
    awaiting: int
    """Events that will be sent."""
    suppressed: int
    """Events from before ``activated_at``, recorded so that they are never sent."""

    @property
    def events(self) -> int:
        """All recorded events."""
        return self.awaiting + self.suppressed


@dataclass(frozen=True)
class LeftToAnother:
    """Another run is recording now or recorded first: nothing was written, and the next run records
    what is left."""

    activated_at: datetime
    run_id: str
    until: datetime
    """When its lease ends if it was killed."""


@dataclass(frozen=True)
class OverLimit:
    """More new events than the mass-send guard allows: nothing was written, nothing is lost."""

    activated_at: datetime
    found: int
    limit: int


Detected = Recorded | OverLimit | LeftToAnother
NOTHING_TO_CORRECT = Recorded(ALWAYS, awaiting=0, suppressed=0)


def is_looked_for(warehouse: Warehouse, source: EventType, *, is_enriching: bool) -> bool:
    """Whether a run must look for events of a type: for corrections only while the flag is on and
    an endpoint has asked for them."""
    return source.found_in is None or (is_enriching and is_asked_for(warehouse, source.name))


def record(
    warehouse: Warehouse,
    *,
    run_id: str,
    clock: Clock,
    source: EventType | None = None,
    activated_at: datetime | None = None,
    mass_send_limit: int = DEFAULT_MASS_SEND_LIMIT,
    allow_mass_send: bool = False,
    is_enriching: bool = True,
    hook: Hook = nothing,
) -> Detected:
    """Record every event of a source that the outbox does not know yet.

    New events are found by comparing with the outbox itself, never by a time watermark, so late
    rows, late consent and late links are found too. A lease lets one run at a time do this.

    ``source`` defaults to completions. ``is_enriching`` is whether the feature flag is on: without
    it there are no corrections.

    Raises:
        StatementFailed: the mart was never built, or the warehouse refused the statement.
    """
    source = source or completions()
    if not is_looked_for(warehouse, source, is_enriching=is_enriching):
        return NOTHING_TO_CORRECT
    beginning = _beginning(source, activated_at)
    since = activate(warehouse, clock=clock, activated_at=beginning, event_type=source.name)
    limit = None if allow_mass_send else mass_send_limit
    found = _count_new(warehouse, source, since=since, limit=limit)
    if isinstance(found, OverLimit) or not found.events:
        return found
    began = clock()
    with recording_lease(warehouse, source.name, run_id=run_id, clock=clock) as lease:
        if isinstance(lease, TakenBy):
            return LeftToAnother(since, lease.run_id, lease.until)
        inserted = _record(
            warehouse, source, lease, since=since, clock=clock, run_id=run_id, limit=limit
        )
        hook(Step.RECORDED)
    if inserted == found.events:
        return found
    if inserted:
        return _count_recorded(warehouse, source, since=since, run_id=run_id, began=began)
    left = _count_new(warehouse, source, since=since, limit=limit)
    if isinstance(left, OverLimit) or not left.events:
        return left
    another = holder(warehouse, source.name, now=clock())
    return LeftToAnother(since, another.run_id, another.until)


def _record(
    warehouse: Warehouse,
    source: EventType,
    lease: Granted,
    *,
    since: datetime,
    clock: Clock,
    run_id: str,
    limit: int | None,
) -> int:
    """Insert the new events; returns the number of rows.

    The statement itself checks again everything that was checked before, since other runs may have
    committed in between: who holds the lease, which activation applies, and how many rows are new.
    """
    new, binds = select_new(warehouse, since=since, now=clock(), run_id=run_id, source=source)
    activations = warehouse.relation("sync", ACTIVATIONS)
    return warehouse.execute(
        f"""
        insert into {warehouse.relation("sync", OUTBOX)} (
            webhook_id, event_type, enterprise_customer_uuid, user_id, courserun_key,
            corrects_webhook_id, correction_number,
            occurred_at, recorded_at, recorded_run_id, state, state_reason,
            attempt_count, next_attempt_at, fence, updated_at
        )
        select * exclude (fresh)
        from (
            select new.*, sum(iff(new.state = '{State.AWAITING}', 1, 0)) over () as fresh
            from ({new}) as new
        ) as counted
        where {lease.condition}
            and exists (
                select 1
                from (
                    select activated_at from {activations}
                    where event_type = ?
                    order by {STANDING}
                    limit 1
                ) as standing
                where standing.activated_at = cast(? as timestamp_ntz)
            )
            {"" if limit is None else "and counted.fresh <= ?"}
        """,
        *binds,
        *lease.binds,
        source.name,
        since.isoformat(),
        *([] if limit is None else [limit]),
    )


def plan_record(
    warehouse: Warehouse,
    *,
    clock: Clock,
    source: EventType,
    activated_at: datetime | None,
    mass_send_limit: int,
    allow_mass_send: bool = False,
    is_enriching: bool = True,
) -> Recorded | OverLimit:
    """What ``record`` would return now; records nothing, not even the activation.

    Raises:
        StatementFailed: as for ``record``, or the ledger does not exist yet.
    """
    if not is_looked_for(warehouse, source, is_enriching=is_enriching):
        return NOTHING_TO_CORRECT
    beginning = _beginning(source, activated_at)
    since = recorded_activation(warehouse, event_type=source.name) or beginning or clock()
    limit = None if allow_mass_send else mass_send_limit
    return _count_new(warehouse, source, since=since, limit=limit)


def _count_new(
    warehouse: Warehouse, source: EventType, *, since: datetime, limit: int | None
) -> Recorded | OverLimit:
    counts = warehouse.rows(
        f"""
        select
            coalesce(count_if(events.{source.occurred_at} >= cast(? as timestamp_ntz)), 0) as fresh,
            coalesce(count_if(events.{source.occurred_at} < cast(? as timestamp_ntz)), 0) as old
        from {_found_in(warehouse, source)} as events
        where {_is_new(warehouse, source)}
        """,
        since.isoformat(),
        since.isoformat(),
    )[0]
    fresh, old = int(counts["fresh"]), int(counts["old"])
    if limit is not None and fresh > limit:
        return OverLimit(activated_at=since, found=fresh, limit=limit)
    return Recorded(activated_at=since, awaiting=fresh, suppressed=old)


def _count_recorded(
    warehouse: Warehouse, source: EventType, *, since: datetime, run_id: str, began: datetime
) -> Recorded:
    """What a run recorded, where that differs from its count before it got the lease."""
    counts = warehouse.rows(
        f"""
        select
            coalesce(count_if(state_reason = '{Reason.BEFORE_ACTIVATION}'), 0) as old,
            count(*) as recorded
        from {warehouse.relation("sync", OUTBOX)}
        where recorded_run_id = ? and event_type = ? and recorded_at >= cast(? as timestamp_ntz)
        """,
        run_id,
        source.name,
        began.isoformat(),
    )[0]
    old = int(counts["old"])
    return Recorded(since, awaiting=int(counts["recorded"]) - old, suppressed=old)


def select_new(
    warehouse: Warehouse,
    *,
    since: datetime,
    now: datetime,
    run_id: str,
    source: EventType,
) -> tuple[str, tuple[object, ...]]:
    """The rows that ``record`` inserts, as a query and its binds.

    One statement from view to outbox, however many rows: the client never holds them. The first
    three parts of a key contain no ``|``, and only a correction has a number, which comes last, so
    the name that an id is derived from is unambiguous.
    """
    happened = f"events.{source.occurred_at}"
    corrects, number, numbered = "null", "null", ""
    if source.found_in is not None:
        corrects, number = "events.corrects_webhook_id", "events.correction_number"
        numbered = "|| '|' || events.correction_number::varchar"
    query = f"""
        with
        parameters as (
            select
                cast(? as varchar) as namespace,
                cast(? as timestamp_ntz) as now,
                cast(? as varchar) as run_id,
                cast(? as timestamp_ntz) as activated_at
        ),
        events as (
            select * from {_found_in(warehouse, source)} as events
            where {_is_new(warehouse, source)}
            qualify row_number() over (
                partition by
                    events.enterprise_customer_uuid, events.user_id, events.courserun_key
                order by {happened}
            ) = 1
        )
        select
            uuid_string(
                parameters.namespace,
                '{source.name}|' || events.enterprise_customer_uuid
                || '|' || events.user_id::varchar || '|' || events.courserun_key
                {numbered}
            ) as webhook_id,
            '{source.name}' as event_type,
            events.enterprise_customer_uuid,
            events.user_id,
            events.courserun_key,
            {corrects} as corrects_webhook_id,
            {number} as correction_number,
            {happened} as occurred_at,
            parameters.now as recorded_at,
            parameters.run_id as recorded_run_id,
            iff(
                {happened} < parameters.activated_at, '{State.SUPPRESSED}', '{State.AWAITING}'
            ) as state,
            iff({happened} < parameters.activated_at, '{Reason.BEFORE_ACTIVATION}', null)
                as state_reason,
            0 as attempt_count,
            iff({happened} < parameters.activated_at, null, parameters.now) as next_attempt_at,
            0 as fence,
            parameters.now as updated_at
        from events
        cross join parameters
    """
    return query, (str(NAMESPACE), now.isoformat(), run_id, since.isoformat())


def new_events(
    warehouse: Warehouse, source: EventType, *, since: datetime, now: datetime, limit: int
) -> list[Event]:
    """The first ``limit`` events, by id, that ``record`` would insert to be sent, with facts."""
    query, binds = select_new(warehouse, since=since, now=now, run_id="", source=source)
    first = f"""
        select new.*, null as lost_endpoint_id from ({query}) as new
        where state = '{State.AWAITING}'
        order by webhook_id
        limit {int(limit)}
    """
    return read_with_facts(warehouse, source, first, *binds)


def _beginning(source: EventType, activated_at: datetime | None) -> datetime | None:
    """The activation to record. No correction is too old: it was sent, and its customer asks for
    corrections now."""
    return activated_at if source.found_in is None else ALWAYS


def _found_in(warehouse: Warehouse, source: EventType) -> str:
    if source.found_in is None:
        return events_of(warehouse, source)
    return warehouse.relation("marts", source.found_in)


def _is_new(warehouse: Warehouse, source: EventType) -> str:
    """The condition that a customer wants a row of ``events`` and it is not in the outbox yet."""
    is_due, same_number = "", ""
    if source.found_in is not None:
        is_due = "and events.correction_status = 'due' and events.correction_number is not null"
        same_number = "and known.correction_number = events.correction_number"
    endpoints = warehouse.relation("marts", "webhook_endpoints")
    return f"""
        {source.wanted.format(endpoints=endpoints, settings=newest_settings(warehouse))}
        {is_due}
        -- Without all of them there is no id: UUID_STRING would give such rows one and the same.
        and events.enterprise_customer_uuid is not null
        and events.user_id is not null
        and events.courserun_key is not null
        -- The outbox has no room for such a row, which would keep all the others out.
        and events.{source.occurred_at} is not null
        and length(events.courserun_key) <= 255
        and not exists (
            select 1 from {warehouse.relation("sync", OUTBOX)} as known
            where known.event_type = '{source.name}'
                and known.enterprise_customer_uuid = events.enterprise_customer_uuid
                and known.user_id = events.user_id
                and known.courserun_key = events.courserun_key
                {same_number}
        )
        and {not_erased(warehouse, "events.user_id")}
    """
