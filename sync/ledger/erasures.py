"""Erase a learner from the ledger permanently, but keep the fact that an id was sent.

A learner is identified by a fingerprint of the LMS's user id, so neither the query history nor the
erasures table holds the id. The fingerprint does not stop someone who has an id from checking
whether it was erased; the same is true of a ``webhook-id``, which is derived from the natural key.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sync.domain.states import UNFINISHED, Reason, State, sql_list
from sync.ledger.tables import ATTEMPTS, ERASURES, MESSAGES, OUTBOX
from sync.warehouse import Warehouse

IS_ERASED = "{row}.user_id < 0"
"""Outbox rows whose learner was erased, in any state."""
PREFIX = "learning-time-erasure|"
"""Prefix of the text whose SHA-256 is a fingerprint. The dbt macro ``person_key`` uses the same."""


def person_key(user_id: int) -> str:
    """A learner's fingerprint: SHA-256 of a fixed prefix and the LMS's user id, in hex."""
    return hashlib.sha256(f"{PREFIX}{user_id}".encode()).hexdigest()


def person_key_sql(column: str) -> str:
    """The same in SQL."""
    return f"sha2('{PREFIX}' || {column}::varchar, 256)"


def not_erased(warehouse: Warehouse, column: str) -> str:
    """The condition that the learner of a row has not been erased."""
    erasures = warehouse.relation("sync", ERASURES)
    return f"{person_key_sql(column)} not in (select person_key from {erasures})"


@dataclass(frozen=True, kw_only=True)
class InLedger:
    """Numbers of a learner's outbox rows."""

    webhooks: int
    to_be_sent: int
    """Of these: awaiting, pending, held, or due for a replay."""
    under_way: int
    """Of these: under the lease of a run that may still send them."""
    under_way_until: datetime | None
    """When the last of these leases ends, naive UTC."""


def in_ledger(warehouse: Warehouse, key: str, *, now: datetime) -> InLedger:
    """Count what an erasure would empty; one statement."""
    is_due = f"state in {sql_list(UNFINISHED)} or replay_id is not null"
    row = warehouse.rows(
        f"""
        select
            count(*) as webhooks,
            coalesce(count_if({is_due}), 0) as to_be_sent,
            coalesce(count_if(lease_expires_at > cast(? as timestamp_ntz)), 0) as under_way,
            max(iff(lease_expires_at > cast(? as timestamp_ntz), lease_expires_at, null))
                as under_way_until
        from {warehouse.relation("sync", OUTBOX)}
        where {person_key_sql("user_id")} = ?
        """,
        now.isoformat(),
        now.isoformat(),
        key,
    )[0]
    return InLedger(**row)


def erase_from_ledger(warehouse: Warehouse, key: str, *, now: datetime) -> int:
    """Empty a learner's rows; returns the number of rows. Idempotent.

    Unsent rows are suppressed and can no longer be claimed; the raised fence keeps a run's late
    response from reviving them, except a 2xx, which means the customer has the event. Ids, states
    and times stay, and so do customer and course run, which the reconciliation counts. A random
    negative number replaces the user id, so two learners of one course run do not become one.
    """
    outbox = warehouse.relation("sync", OUTBOX)
    timestamp = now.isoformat()
    # First, while the outbox still has the user id.
    warehouse.execute(
        f"""
        update {warehouse.relation("sync", ATTEMPTS)} as attempts
        set response_excerpt = null
        where attempts.response_excerpt is not null
            and attempts.webhook_id in (
                select mine.webhook_id from {outbox} as mine
                where {person_key_sql("mine.user_id")} = ?
            )
        """,
        key,
    )
    erased = warehouse.execute(
        f"""
        update {outbox} as outbox
        set
            user_id = cast(? as number(38, 0)),
            body_removed_at = cast(? as timestamp_ntz),
            state = iff(
                outbox.state in {sql_list(UNFINISHED)}, '{State.SUPPRESSED}', outbox.state
            ),
            state_reason = iff(
                outbox.state in {sql_list(UNFINISHED)}, '{Reason.ERASED}', outbox.state_reason
            ),
            next_attempt_at = null,
            replay_id = null,
            lease_owner = null,
            lease_expires_at = null,
            fence = outbox.fence + 1,
            updated_at = cast(? as timestamp_ntz)
        where {person_key_sql("outbox.user_id")} = ?
        """,
        str(-1 - secrets.randbelow(10**15)),
        timestamp,
        timestamp,
        key,
    )
    # Last, when no further message can be built for the learner.
    empty_erased_messages(warehouse)
    return erased


def empty_erased_messages(warehouse: Warehouse) -> int:
    """Empty the messages built for erased learners; returns the number of messages.

    By event, not by build: a build that was never sent holds their data too.
    """
    return warehouse.execute(
        f"""
        update {warehouse.relation("sync", MESSAGES)} as messages
        set body = null
        where messages.body is not null
            and messages.webhook_id in (
                select outbox.webhook_id from {warehouse.relation("sync", OUTBOX)} as outbox
                where {IS_ERASED.format(row="outbox")}
            )
        """
    )


def begin_erasure(
    warehouse: Warehouse, key: str, *, requested_by: str, reason: str, now: datetime
) -> str:
    """Record who asked, before anything is emptied. From now on none of the learner's events are
    recorded.

    Returns the erasure's id, or the id of an unfinished erasure if there is one.
    """
    erasures = warehouse.relation("sync", ERASURES)
    made = str(uuid.uuid4())
    warehouse.execute(
        f"""
        insert into {erasures} (erasure_id, person_key, requested_at, requested_by, reason)
        select new.*
        from (
            select
                cast(? as varchar) as erasure_id,
                cast(? as varchar) as person_key,
                cast(? as timestamp_ntz) as requested_at,
                cast(? as varchar) as requested_by,
                cast(? as varchar) as reason
        ) as new
        where not exists (
            select 1 from {erasures} as known
            where known.person_key = new.person_key and known.finished_at is null
        )
        """,
        made,
        key,
        now.isoformat(),
        requested_by[:200],
        reason[:200],
    )
    return warehouse.value(
        f"select min(erasure_id) as erasure_id from {erasures}"
        " where person_key = ? and finished_at is null",
        key,
    )


def is_erased(warehouse: Warehouse, key: str) -> bool:
    """Whether this learner's erasure was already finished."""
    finished = warehouse.value(
        f"select count(*) as n from {warehouse.relation('sync', ERASURES)}"
        " where person_key = ? and finished_at is not null",
        key,
    )
    return finished > 0


def finish_erasure(
    warehouse: Warehouse, key: str, *, counts: Mapping[str, int], now: datetime
) -> None:
    """Record that everything is empty, and how many rows were emptied."""
    warehouse.execute(
        f"""
        update {warehouse.relation("sync", ERASURES)}
        set finished_at = cast(? as timestamp_ntz), counts = parse_json(?)
        where person_key = ? and finished_at is null
        """,
        now.isoformat(),
        json.dumps(dict(counts)),
        key,
    )
