"""Is there anything to do? Asked every half minute, so the answer must cost nothing when it is no.

On Snowflake the question goes to metadata alone, so a suspended warehouse stays suspended. Only
when the ledger itself has changed is it read, once, for the moment when the next row comes due.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sync.ledger.tables import ENDPOINT_STATE, OUTBOX
from sync.settings import EmbeddedWarehouse, RawSchema, SnowflakeWarehouse
from sync.warehouse import Warehouse

SOURCES: Sequence[tuple[RawSchema, str, str]] = (
    ("lms", "grades_persistentcoursegrade", "modified"),
    ("lms", "student_courseenrollment", "created"),
    ("enterprise", "enterprise_enterprisecourseenrollment", "modified"),
    ("enterprise", "enterprise_enterprisecustomeruser", "modified"),
    ("enterprise", "enterprise_enterprisecustomer", "modified"),
    ("enterprise", "consent_datasharingconsent", "modified"),
    ("enterprise", "channel_integration_enterprisewebhookconfiguration", "modified"),
)
"""Replicas whose change can make a completion new or an endpoint usable, with the column of
their newest moment.
"""
MART = ("completion_learning_time", "computed_through")
"""Its change can end the wait of a completion."""
REPEAT_AFTER = timedelta(minutes=5)
"""After a run that failed or changed nothing: as often as the schedule, and not twice a minute."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the last look saw; kept as the sensor's cursor."""

    sources: str = ""
    """Opaque: differs when a replica or a mart has changed."""
    ledger: str = ""
    """Opaque: differs when the outbox has changed."""
    due_at: str | None = None
    """When the next outbox row comes due, ISO 8601 in UTC."""

    @classmethod
    def from_cursor(cls, cursor: str | None) -> Seen:
        """A cursor of another form, or none, is like having seen nothing."""
        try:
            return cls(**json.loads(cursor or "{}"))
        except (TypeError, ValueError):
            return cls()

    def cursor(self) -> str:
        """The text to keep."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Look:
    """What there is to do now, and what to remember."""

    seen: Seen
    reason: str | None
    """Why a run is wanted; None when nothing is to be done."""


def look(warehouse: Warehouse, before: Seen, *, now: datetime, max_wait: timedelta) -> Look:
    """Compare with the last look. One statement when nothing has changed, two otherwise.

    ``max_wait`` is how long a completion may wait for its learning time. ``now`` is naive UTC.

    Raises:
        StatementFailed: a source does not exist or may not be read.
    """
    sources, ledger = _tokens(warehouse)
    due_at = before.due_at
    if ledger != before.ledger:
        due = _due_at(warehouse, max_wait)
        due_at = due.isoformat() if due is not None else None
    seen = Seen(sources=sources, ledger=ledger, due_at=due_at)
    if sources != before.sources:
        return Look(seen, "the replicas or the mart have changed")
    if due_at is not None and datetime.fromisoformat(due_at) <= now:
        return Look(seen, f"a webhook came due at {due_at} UTC")
    return Look(seen, None)


@dataclass(frozen=True)
class LastRun:
    """The newest delivery run, which is not active any more."""

    run_id: str
    ended_at: datetime
    """Naive UTC."""
    has_failed: bool


@dataclass(frozen=True)
class Wake:
    """Start a run. The key is the same for as long as nothing changes and no run ends."""

    reason: str
    key: str
    seen: Seen


@dataclass(frozen=True)
class Rest:
    """Start none, and remember ``seen``."""

    reason: str
    seen: Seen


def decide(before: Seen, found: Look, *, last: LastRun | None, now: datetime) -> Wake | Rest:
    """Whether to start a run. A run that failed, or brought nothing on, is repeated after a while.

    A cursor alone would lose such work: what a failed run should have done is no change any more.
    """
    pause_ends = None if last is None else last.ended_at + REPEAT_AFTER
    is_pausing = pause_ends is not None and now < pause_ends
    has_failed = last is not None and last.has_failed
    if has_failed and is_pausing:
        # What has changed meanwhile must still be news after the pause.
        return Rest(f"the last run failed; the next one starts after {pause_ends} UTC", before)
    if found.reason is None and not has_failed:
        return Rest(f"nothing has changed; next due: {found.seen.due_at}", found.seen)
    if found.reason is not None and found.seen == before and is_pausing:
        return Rest(f"{found.reason}, and a run has just been; again after {pause_ends}", before)
    text = found.seen.cursor() + (last.run_id if last is not None else "")
    return Wake(
        found.reason or "the last run failed",
        hashlib.sha256(text.encode()).hexdigest()[:32],
        found.seen,
    )


def _tokens(warehouse: Warehouse) -> tuple[str, str]:
    tables = [(warehouse.raw_relation(one[0], one[1]), one[2]) for one in SOURCES]
    tables.append((warehouse.relation("marts", MART[0]), MART[1]))
    ledgers = [warehouse.relation("sync", table) for table in (OUTBOX, ENDPOINT_STATE)]
    match warehouse.settings:
        case SnowflakeWarehouse():
            sources = [_commit_time(table) for table, _ in tables]
            ledger = [_commit_time(table) for table in ledgers]
        case EmbeddedWarehouse():
            sources = [_newest(table, column) for table, column in tables]
            ledger = [_newest(table, "updated_at") for table in ledgers]
    row = warehouse.rows(
        f"select {' || '.join(sources)} as sources, {' || '.join(ledger)} as ledger"
    )[0]
    return row["sources"], row["ledger"]


def _commit_time(table: str) -> str:
    """Snowflake's moment of the last change, from metadata; to be compared, not read as a time."""
    return f"coalesce(system$last_change_commit_time('{table}')::varchar, '') || ';'"


def _newest(table: str, column: str) -> str:
    """The embedded engine keeps no such metadata, and costs nothing."""
    return f"(select count(*) || '/' || coalesce(max({column})::varchar, '') from {table}) || ';'"


def _due_at(warehouse: Warehouse, max_wait: timedelta) -> datetime | None:
    """When a run will first have something to do.

    A pending row waits for its lease and for its endpoint's rest, too; a run before that would
    find nothing. A row held for an endpoint that is on again is due at once.
    """
    rows = warehouse.rows(
        f"""
        select min(case
            when outbox.state = 'awaiting' then dateadd('second', ?, outbox.recorded_at)
            when outbox.state = 'held' then outbox.next_attempt_at
            else greatest(
                outbox.next_attempt_at,
                coalesce(outbox.lease_expires_at, outbox.next_attempt_at),
                coalesce(
                    iff(endpoint.breaker_state = 'open', endpoint.next_probe_at, null),
                    outbox.next_attempt_at
                ),
                coalesce(endpoint.paused_until, outbox.next_attempt_at)
            )
        end) as due_at
        from {warehouse.relation("sync", OUTBOX)} as outbox
        left join {warehouse.relation("sync", ENDPOINT_STATE)} as endpoint
            on outbox.endpoint_id = endpoint.endpoint_id
        where endpoint.disabled_at is null
            and (
                outbox.state in ('awaiting', 'pending')
                or outbox.state = 'delivered' and outbox.replay_id is not null
                or outbox.state = 'held'
                    and outbox.state_reason = 'endpoint_disabled'
                    and outbox.body is not null
            )
        """,
        int(max_wait.total_seconds()),
    )
    return rows[0]["due_at"]
