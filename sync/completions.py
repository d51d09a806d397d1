"""What a completion is, and how new ones enter the outbox: exactly once, and none that is old."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sync.clock import Clock
from sync.ledger import ACTIVATIONS, OUTBOX
from sync.warehouse import Warehouse

COURSE_COMPLETION = "course_completion"
NAMESPACE = uuid.UUID("58b829cf-38bb-5a66-ad03-8b2e3c603667")
"""Namespace of every webhook id. It can never change: another would mint new ids for old events."""
DEFAULT_MASS_SEND_LIMIT = 5_000


FACTS = """
    object_construct(
        'enterprise_customer_uuid', completions.enterprise_customer_uuid,
        'enterprise_customer_name', completions.enterprise_customer_name,
        'user_id', completions.user_id,
        'username', completions.username,
        'email', completions.email,
        'courserun_key', completions.courserun_key,
        'passed_at', to_varchar(completions.passed_at, 'YYYY-MM-DD HH24:MI:SS'),
        'percent_grade', completions.percent_grade,
        'letter_grade', completions.letter_grade,
        'learner_country', completions.learner_country,
        'enterprise_country', completions.enterprise_country,
        'percipio_user_id', completions.percipio_user_id,
        'percipio_organization_id', completions.percipio_organization_id
    )::variant
"""
"""What ``sync.facts`` reads, from a row of ``completed_enrollments``; a NULL leaves its key out."""


@dataclass(frozen=True)
class Enqueued:
    """New completions entered the outbox."""

    activated_at: datetime
    awaiting: int
    """Completions that will be sent."""
    suppressed: int
    """Completions from before ``activated_at``, recorded so that they are never sent."""


@dataclass(frozen=True)
class HeldBack:
    """More new completions than the guard allows: nothing was written, nothing is lost."""

    activated_at: datetime
    found: int
    limit: int


def webhook_id(
    event_type: str, enterprise_customer_uuid: str, user_id: int, courserun_key: str
) -> str:
    """The id of an event, the same for ever: UUIDv5 of its natural key.

    The first three parts hold no ``|``, so the name is unambiguous. Snowflake's ``UUID_STRING``
    gives the same value; a test pins both.
    """
    return str(
        uuid.uuid5(NAMESPACE, f"{event_type}|{enterprise_customer_uuid}|{user_id}|{courserun_key}")
    )


def activate(warehouse: Warehouse, *, clock: Clock, activated_at: datetime | None) -> datetime:
    """When deliveries began: the recorded moment, or ``activated_at``, or now at the first call.

    The first call decides for ever; a later, different ``activated_at`` is ignored on purpose, so
    that a run with a forgotten setting cannot resurrect the past.
    """
    found = recorded_activation(warehouse)
    if found is not None:
        return found
    moment = activated_at or clock()
    warehouse.execute(
        f"insert into {warehouse.relation('sync', ACTIVATIONS)}"
        " select ?, cast(? as timestamp_ntz), cast(? as timestamp_ntz)",
        COURSE_COMPLETION,
        moment.isoformat(),
        clock().isoformat(),
    )
    return moment


def recorded_activation(warehouse: Warehouse) -> datetime | None:
    """When deliveries began; None before the first run."""
    return warehouse.rows(
        f"select min(activated_at) as activated_at from {warehouse.relation('sync', ACTIVATIONS)}"
        " where event_type = ?",
        COURSE_COMPLETION,
    )[0]["activated_at"]


def enqueue(
    warehouse: Warehouse,
    *,
    run_id: str,
    clock: Clock,
    activated_at: datetime | None = None,
    mass_send_limit: int = DEFAULT_MASS_SEND_LIMIT,
    allow_mass_send: bool = False,
) -> Enqueued | HeldBack:
    """Record every completion that the outbox does not know yet.

    Found by comparing with the outbox itself, never by a time watermark: late rows, late consent
    and late links are found like any other. Snowflake enforces no unique key, so one run at a
    time may do this; the dbt test on ``webhook_outbox`` watches it.

    Raises:
        StatementFailed: ``completed_enrollments`` was never built, or the warehouse refused.
    """
    since = activate(warehouse, clock=clock, activated_at=activated_at)
    completions = warehouse.relation("marts", "completed_enrollments")
    counts = warehouse.rows(
        f"""
        select
            coalesce(count_if(completions.passed_at >= cast(? as timestamp_ntz)), 0) as fresh,
            coalesce(count_if(completions.passed_at < cast(? as timestamp_ntz)), 0) as old
        from {completions} as completions
        where {_unknown(warehouse)}
        """,
        since.isoformat(),
        since.isoformat(),
    )[0]
    fresh, old = int(counts["fresh"]), int(counts["old"])
    if fresh > mass_send_limit and not allow_mass_send:
        return HeldBack(activated_at=since, found=fresh, limit=mass_send_limit)
    if fresh or old:
        new, binds = select_new(warehouse, since=since, now=clock(), run_id=run_id)
        warehouse.execute(
            f"""
            insert into {warehouse.relation("sync", OUTBOX)} (
                webhook_id, event_type, enterprise_customer_uuid, user_id, courserun_key,
                occurred_at, facts, recorded_at, recorded_run_id, state, state_reason,
                attempt_count, fence, updated_at
            )
            {new}
            """,
            *binds,
        )
    return Enqueued(activated_at=since, awaiting=fresh, suppressed=old)


def refresh_held(warehouse: Warehouse, *, clock: Clock) -> int:
    """Read the facts of held, unsent completions again, so that a mended row can go; how many.

    A learner's missing identity or an unusable grade is mended in the LMS; the outbox holds what
    it saw at detection. Frozen messages are never touched.
    """
    outbox = warehouse.relation("sync", OUTBOX)
    return warehouse.execute(
        f"""
        update {outbox} as outbox
        set facts = current_facts.facts, updated_at = cast(? as timestamp_ntz)
        from (
            select
                completions.enterprise_customer_uuid,
                completions.user_id,
                completions.courserun_key,
                {FACTS} as facts
            from {warehouse.relation("marts", "completed_enrollments")} as completions
        ) as current_facts
        where outbox.state = 'held'
            and outbox.body is null
            and outbox.event_type = '{COURSE_COMPLETION}'
            and outbox.enterprise_customer_uuid = current_facts.enterprise_customer_uuid
            and outbox.user_id = current_facts.user_id
            and outbox.courserun_key = current_facts.courserun_key
        """,
        clock().isoformat(),
    )


def select_new(
    warehouse: Warehouse, *, since: datetime, now: datetime, run_id: str
) -> tuple[str, tuple[object, ...]]:
    """The rows that ``enqueue`` inserts, as a query and its binds.

    One statement from view to outbox, however many rows: the client never holds them.
    """
    query = f"""
        with
        parameters as (
            select
                cast(? as varchar) as namespace,
                cast(? as timestamp_ntz) as now,
                cast(? as varchar) as run_id,
                cast(? as timestamp_ntz) as activated_at
        ),
        completions as (
            select * from {warehouse.relation("marts", "completed_enrollments")} as completions
            where {_unknown(warehouse)}
            qualify row_number() over (
                partition by
                    completions.enterprise_customer_uuid,
                    completions.user_id,
                    completions.courserun_key
                order by completions.passed_at
            ) = 1
        )
        select
            uuid_string(
                parameters.namespace,
                '{COURSE_COMPLETION}|' || completions.enterprise_customer_uuid
                || '|' || completions.user_id::varchar || '|' || completions.courserun_key
            ) as webhook_id,
            '{COURSE_COMPLETION}' as event_type,
            completions.enterprise_customer_uuid,
            completions.user_id,
            completions.courserun_key,
            completions.passed_at as occurred_at,
            {FACTS} as facts,
            parameters.now as recorded_at,
            parameters.run_id as recorded_run_id,
            case
                when completions.passed_at < parameters.activated_at then 'suppressed'
                else 'awaiting'
            end as state,
            case
                when completions.passed_at < parameters.activated_at then 'before_activation'
            end as state_reason,
            0 as attempt_count,
            0 as fence,
            parameters.now as updated_at
        from completions
        cross join parameters
    """
    return query, (str(NAMESPACE), now.isoformat(), run_id, since.isoformat())


def _unknown(warehouse: Warehouse) -> str:
    """The condition that the outbox does not hold a row of ``completions`` yet."""
    return f"""
        not exists (
            select 1 from {warehouse.relation("sync", OUTBOX)} as known
            where known.event_type = '{COURSE_COMPLETION}'
                and known.enterprise_customer_uuid = completions.enterprise_customer_uuid
                and known.user_id = completions.user_id
                and known.courserun_key = completions.courserun_key
        )
    """
