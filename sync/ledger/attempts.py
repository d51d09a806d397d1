"""Write attempts to the ledger: append them to the log, and update outbox rows by fence."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sync.clock import Clock
from sync.domain.states import FINISHED, State, sql_list
from sync.domain.work import Attempt, Row
from sync.ledger.due import IS_OPEN
from sync.ledger.steps import Hook, Step, nothing
from sync.ledger.tables import ATTEMPTS, OUTBOX
from sync.warehouse import Warehouse, json_chunks, json_rows

LOGGED = """
    webhook_id, endpoint_id, fence, attempt_number, run_id, started_at, duration_ms, status_code,
    outcome, error_kind, attribution, response_excerpt, signing_key_ids, replay_id
"""


def settle(
    warehouse: Warehouse, attempts: Sequence[Attempt], *, clock: Clock, hook: Hook = nothing
) -> None:
    """Append the attempts to the log, then update their rows; idempotent.

    Not one transaction: if a run were killed before its commit, the rows would stay locked, on
    Snowflake for minutes. ``settle_logged`` repairs a crash between the two statements.

    A result with an outdated fence may not reschedule, kill or hold the row. A 2xx counts even
    then: the receiver has the message. A delivered row stays delivered, whatever the result of its
    replay; that one try ends the replay, unless a sender error kept it from starting.
    """
    if not attempts:
        return
    logged, moved = zip(*(one.rows for one in attempts), strict=True)
    log = warehouse.relation("sync", ATTEMPTS)
    made = json_rows(
        text="webhook_id run_id outcome error_kind attribution response_excerpt signing_key_ids"
        " replay_id",
        number="endpoint_id fence attempt_number duration_ms status_code",
        time="started_at",
    )
    warehouse.bulk(
        f"""
        insert into {log} ({LOGGED})
        select {LOGGED}
        from {made} as made
        where not exists (
            select 1 from {log} as logged
            where logged.webhook_id = made.webhook_id
                and logged.fence = made.fence
                -- The same attempt began at the same time: older ones need not be read.
                and logged.started_at >= cast(? as timestamp_ntz)
        )
        """,
        logged,
        after=(min(one.started_at for one in attempts).isoformat(),),
    )
    hook(Step.ATTEMPTS_LOGGED)
    settled = _move(warehouse, moved, clock=clock, which=IS_OPEN.format(row="outbox"))
    if settled < len(moved):
        # A finished row is changed only by a 2xx: then the receiver has the message.
        late = [one for one in moved if one["state"] == State.DELIVERED]
        _move(warehouse, late, clock=clock)


def _move(warehouse: Warehouse, moved: Sequence[Row], *, clock: Clock, which: str = "true") -> int:
    """Write results into the outbox rows that match ``which``; returns the number of rows."""
    outbox = warehouse.relation("sync", OUTBOX)
    attempt = json_rows(
        text="webhook_id state reason",
        number="fence attempt_count",
        time="next_attempt_at delivered_at",
        boolean="is_own_fault",
    )
    return warehouse.bulk(
        f"""
        update {outbox} as outbox
        set
            state = iff(outbox.state = '{State.DELIVERED}', outbox.state, attempt.state),
            state_reason = iff(outbox.state = '{State.DELIVERED}', null, attempt.reason),
            attempt_count = greatest(outbox.attempt_count, attempt.attempt_count),
            next_attempt_at = iff(
                outbox.state = '{State.DELIVERED}' and not coalesce(attempt.is_own_fault, false),
                null, attempt.next_attempt_at
            ),
            delivered_at = coalesce(outbox.delivered_at, attempt.delivered_at),
            replay_id = iff(
                attempt.state in {sql_list(FINISHED)}
                or outbox.state = '{State.DELIVERED}' and not coalesce(attempt.is_own_fault, false),
                null, outbox.replay_id
            ),
            lease_owner = null,
            lease_expires_at = null,
            updated_at = cast(? as timestamp_ntz)
        from {attempt} as attempt
        where outbox.webhook_id = attempt.webhook_id
            and {which}
            and (
                outbox.fence = attempt.fence
                and (outbox.state <> '{State.DELIVERED}' or outbox.replay_id is not null)
                or attempt.state = '{State.DELIVERED}' and outbox.state <> '{State.DELIVERED}'
            )
        """,
        moved,
        before=(clock().isoformat(),),
    )


def leased_here(warehouse: Warehouse, attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts whose rows still have the claim that they were made under.

    This proves that a journal of an earlier version, which has no mark, was written for this
    ledger: the claim's owner starts with the run's id, and only globally unique ids count.
    """
    asked = [
        {"webhook_id": one.claim.webhook_id, "fence": one.claim.fence, "run_id": one.run_id}
        for one in attempts
        if _is_uuid(one.run_id)
    ]
    proven: set[tuple[str, int]] = set()
    for chunk in json_chunks(asked):
        rows = warehouse.rows(
            f"""
            select outbox.webhook_id, outbox.fence
            from {warehouse.relation("sync", OUTBOX)} as outbox
            inner join {json_rows(text="webhook_id run_id", number="fence")} as told
                on outbox.webhook_id = told.webhook_id and outbox.fence = told.fence
            where startswith(outbox.lease_owner, told.run_id || ':')
            """,
            chunk,
        )
        proven |= {(row["webhook_id"], int(row["fence"])) for row in rows}
    return [one for one in attempts if one.key in proven]


def _is_uuid(text: object) -> bool:
    try:
        return str(uuid.UUID(str(text))) == text
    except ValueError:
        return False


def settle_logged(warehouse: Warehouse, *, leased_since: datetime, clock: Clock) -> int:
    """Mark rows delivered whose 2xx is only in the log because a run died within ``settle``.

    Returns the number of rows. The run's journal may be lost too; without this the rows would be
    sent again. Such a run also left its lease: ``leased_since`` is the start of the oldest lease,
    and no attempt made under a lease is older.
    """
    return warehouse.execute(
        f"""
        update {warehouse.relation("sync", OUTBOX)} as outbox
        set
            state = '{State.DELIVERED}',
            state_reason = null,
            attempt_count = greatest(outbox.attempt_count, logged.attempt_number),
            next_attempt_at = null,
            delivered_at = logged.delivered_at,
            replay_id = null,
            lease_owner = null,
            lease_expires_at = null,
            updated_at = cast(? as timestamp_ntz)
        from (
            select
                webhook_id,
                max(attempt_number) as attempt_number,
                min(dateadd(millisecond, duration_ms, started_at)) as delivered_at
            from {warehouse.relation("sync", ATTEMPTS)}
            where outcome = '{State.DELIVERED}' and started_at >= cast(? as timestamp_ntz)
            group by webhook_id
        ) as logged
        where outbox.webhook_id = logged.webhook_id
            and outbox.lease_owner is not null
            and outbox.state <> '{State.DELIVERED}'
        """,
        clock().isoformat(),
        leased_since.isoformat(),
    )
