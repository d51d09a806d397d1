"""Is there anything to do? Asked every 30 seconds, so a no must cost nothing.

On Snowflake only metadata is read, so a suspended warehouse stays suspended. The ledger itself is
read only after it has changed, once, for the time when the next row comes due.

A change is handled by a run that has seen it and done all of its work, and by nothing else: a run
may be canceled, dry, deleted, or leave the recording to another. So the sources are compared with
what such a run noted that it had seen, never with what the last poll saw.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from sync.domain.circuit_breaker import CHECK_AGAIN_AFTER
from sync.domain.states import Reason, State
from sync.ledger.due import IS_OPEN, SENDABLE_AT
from sync.ledger.identity import place_of
from sync.ledger.tables import ENDPOINT_SETTINGS, ENDPOINT_STATE, OUTBOX
from sync.settings import EmbeddedWarehouse, RawSchema, SnowflakeWarehouse
from sync.warehouse import NoResponse, StatementFailed, Warehouse

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
their newest time.
"""
MART = ("completion_learning_time", "computed_through")
"""Its change can end the wait of a completion."""
REPEAT_AFTER = timedelta(minutes=5)
"""After a run that failed or changed nothing: as often as the schedule, not twice a minute."""
SETTINGS_UPDATED = (ENDPOINT_SETTINGS, "updated_at")
"""A table that the operator writes; its change can make an endpoint usable."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the last poll saw; kept as the sensor's cursor. Losing it costs one read of the ledger.

    A cursor without all of these fields but ``tables`` is from another version of this code and is
    ignored.
    """

    sources: str
    """As ``sources_token`` has it; empty when the sources could not be read."""
    ledger: str
    """Opaque: differs when the outbox has changed."""
    due_at: str | None
    """When the next outbox row comes due, ISO 8601 in UTC."""
    max_wait_seconds: int
    """``due_at`` depends on it."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """``schema/table`` of each raw table to a token that differs when it has changed."""

    @classmethod
    def from_cursor(cls, cursor: str | None) -> Seen:
        """Without a cursor, or with one of another version, nothing has been seen."""
        try:
            return cls(**json.loads(cursor or "{}"))
        except (TypeError, ValueError):
            return NOTHING_SEEN

    def cursor(self) -> str:
        """As text."""
        return json.dumps(asdict(self))


NOTHING_SEEN = Seen(sources="", ledger="", due_at=None, max_wait_seconds=0)


@dataclass(frozen=True)
class Poll:
    """What there is to do now, and what to remember."""

    seen: Seen
    due: str | None = None
    """Why a run is needed whether or not a source has changed; None when nothing is due."""
    problem: StatementFailed | None = None
    """Why the sources could not be read."""


def poll(warehouse: Warehouse, before: Seen, *, now: datetime, max_wait: timedelta) -> Poll:
    """Read tokens, and what is due. One statement when nothing has changed, two otherwise.

    ``max_wait`` is how long a completion may wait for its learning time: nothing while the flag is
    off. ``now`` is naive UTC. Sources that cannot be read stop no retry: then only the ledger is
    read.

    Raises:
        StatementFailed: the ledger does not exist or may not be read.
    """
    problem = None
    try:
        tables, sources, ledger = _tokens(warehouse)
    except NoResponse:
        raise
    except StatementFailed as error:
        problem = error
        tables, sources, ledger = before.tables, "", _ledger_token(warehouse)
    due_at, seconds = before.due_at, int(max_wait.total_seconds())
    if (ledger, seconds) != (before.ledger, before.max_wait_seconds):
        due = _due_at(warehouse, max_wait)
        due_at = due.isoformat() if due is not None else None
    seen = Seen(
        sources=sources, ledger=ledger, due_at=due_at, max_wait_seconds=seconds, tables=tables
    )
    if due_at is not None and datetime.fromisoformat(due_at) <= now:
        return Poll(seen, f"a webhook came due at {due_at} UTC", problem)
    return Poll(seen, problem=problem)


def sources_token(warehouse: Warehouse) -> str:
    """What a run sees of replicas and marts: opaque, differs when one of them has changed.

    To be read before the run reads them: what changes later is a new change. It holds the name of
    the warehouse, so that the token of a staging copy never stands for production.

    Raises:
        StatementFailed: a source does not exist or may not be read.
    """
    return _tokens(warehouse)[1]


@dataclass(frozen=True)
class LastRun:
    """The newest delivery run that has ended; dry runs that people start do not count."""

    run_id: str
    ended_at: datetime
    """Naive UTC."""
    has_failed: bool
    """It failed, was canceled, or never started."""
    left_until: datetime | None = None
    """It left events to another run or to a person: when to try again, naive UTC."""
    saw: str | None = None
    """The ``sources_token`` that it noted."""


@dataclass(frozen=True)
class Start:
    """Start a run. The key is the same for as long as nothing changes and no run ends or hangs."""

    reason: str
    key: str
    seen: Seen


@dataclass(frozen=True)
class Skip:
    """Start none, and remember ``seen``."""

    reason: str
    seen: Seen


def decide(
    before: Seen,
    found: Poll,
    *,
    is_handled: bool,
    last: LastRun | None,
    now: datetime,
    stuck: str | None = None,
) -> Start | Skip:
    """Whether to start a run. A run that failed, or achieved nothing, is repeated after a while.

    ``is_handled``: a run has noted these very sources, and that it did all of its work. ``stuck``
    is the newest run that has been running for too long to be waited for.
    """
    if last is None and found.problem is not None:
        return Skip(f"not set up yet: {found.problem}", found.seen)
    has_failed = last is not None and last.has_failed
    has_left = last is not None and last.left_until is not None
    is_again = has_failed or found.seen == before
    soonest = now if last is None else last.ended_at + REPEAT_AFTER
    # What was left waits until it can be done; what has changed since then does not.
    waits = last.left_until if last is not None and last.saw == found.seen.sources else None
    wanted = []
    if found.due is not None:
        wanted.append((found.due, soonest if is_again else now))
    if not is_handled or has_failed or has_left:
        reason = _reason(before, found, is_handled=is_handled, has_failed=has_failed)
        wanted.append((reason, waits or (soonest if is_again else now)))
    if not wanted:
        return Skip(f"nothing has changed; next due: {found.seen.due_at}", found.seen)
    reason, at = min(wanted, key=lambda one: one[1])
    if at > now:
        return Skip(f"{reason}, and a run has just ended; again after {at} UTC", found.seen)
    # Under the key of a stuck run Dagster would start none.
    text = found.seen.cursor() + (last.run_id if last is not None else "") + (stuck or "")
    return Start(reason, hashlib.sha256(text.encode()).hexdigest()[:32], found.seen)


def _reason(before: Seen, found: Poll, *, is_handled: bool, has_failed: bool) -> str:
    if found.problem is not None:
        return f"the replicas cannot be read ({found.problem})"
    if has_failed:
        return "the last run failed"
    if is_handled or found.seen.sources == before.sources:
        return "what has changed is not detected yet"
    return "the replicas or the mart have changed"


def _tokens(warehouse: Warehouse) -> tuple[dict[str, str], str, str]:
    """Of each raw table, of all sources together, of the ledger; one statement."""
    (mart, covered), (settings, updated) = MART, SETTINGS_UPDATED
    asked = [
        *((warehouse.raw_relation(schema, name), column) for schema, name, column in SOURCES),
        (warehouse.relation("marts", mart), covered),
        (warehouse.relation("sync", settings), updated),
    ]
    columns = ", ".join(
        f"{_change(warehouse, *one)} as token_{number}" for number, one in enumerate(asked)
    )
    row = warehouse.rows(f"select {columns}, {_ledger_change(warehouse)} as ledger")[0]
    tokens = [row[f"token_{number}"] for number in range(len(asked))]
    text = f"{place_of(warehouse.settings)} {tokens}"
    names = (f"{schema}/{name}" for schema, name, _ in SOURCES)
    tables = dict(zip(names, tokens, strict=False))
    return tables, hashlib.sha256(text.encode()).hexdigest()[:32], row["ledger"]


def _ledger_token(warehouse: Warehouse) -> str:
    return warehouse.rows(f"select {_ledger_change(warehouse)} as ledger")[0]["ledger"]


def _ledger_change(warehouse: Warehouse) -> str:
    tables = (OUTBOX, ENDPOINT_STATE)
    return " || ';' || ".join(
        _change(warehouse, warehouse.relation("sync", one), "updated_at") for one in tables
    )


def _change(warehouse: Warehouse, table: str, column: str) -> str:
    """SQL of a text that differs when a table has changed.

    Snowflake has the commit of the last change in metadata: to be compared, not read as a time. The
    embedded engine keeps no such metadata, and a query there costs nothing.
    """
    match warehouse.settings:
        case SnowflakeWarehouse():
            return f"coalesce(system$last_change_commit_time('{table}')::varchar, '')"
        case EmbeddedWarehouse():
            return f"(select count(*) || '/' || coalesce(max({column})::varchar, '') from {table})"


def _due_at(warehouse: Warehouse, max_wait: timedelta) -> datetime | None:
    """When a run will first have something to do.

    A pending row also waits for its lease and for its endpoint; a run before that would find
    nothing. A row held for an endpoint that was enabled again is due at once, and one whose target
    was refused when that is checked again.
    """
    rows = warehouse.rows(
        f"""
        select min(case
            when outbox.state = '{State.AWAITING}' then dateadd('second', ?, outbox.recorded_at)
            when outbox.state_reason = '{Reason.INVALID_TARGET}' then coalesce(
                dateadd('second', {int(CHECK_AGAIN_AFTER.total_seconds())}, endpoint.refused_at),
                outbox.next_attempt_at
            )
            when outbox.state = '{State.HELD}' then outbox.next_attempt_at
            else {SENDABLE_AT.format(row="outbox", endpoint="endpoint")}
        end) as due_at
        from {warehouse.relation("sync", OUTBOX)} as outbox
        left join {warehouse.relation("sync", ENDPOINT_STATE)} as endpoint
            on outbox.endpoint_id = endpoint.endpoint_id
        where {IS_OPEN.format(row="outbox")}
            and endpoint.disabled_at is null
            and (
                outbox.state in ('{State.AWAITING}', '{State.PENDING}')
                or outbox.state = '{State.DELIVERED}' and outbox.replay_id is not null
                or outbox.state = '{State.HELD}'
                    and outbox.state_reason in (
                        '{Reason.ENDPOINT_DISABLED}', '{Reason.INVALID_TARGET}'
                    )
                    and outbox.build_id is not null
            )
        """,
        int(max_wait.total_seconds()),
    )
    return rows[0]["due_at"]
