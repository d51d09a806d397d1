"""Is there anything to do? The sensor polls every 30 seconds, so a no must cost nothing.

On Snowflake only metadata is read, so a suspended warehouse stays suspended. When a run finishes,
it reports what is next in the ledger (``HandOver``); the ledger itself is never read here.

Only a run that saw a change and finished all of its work has handled it: a run may be canceled,
dry, deleted, or leave the recording to another run. So the sources are compared with what such a
run noted, never with what the last poll saw. One number, the dial (``dial``), limits how often a
run may start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from sync.domain.event_types import EventType, completions, recorded_types
from sync.ledger.identity import place_of
from sync.ledger.outbox import Remaining
from sync.ledger.tables import (
    ENDPOINT_OVERRIDES,
    ENDPOINT_SETTINGS,
    ENDPOINT_STATE,
    OUTBOX,
    PAUSES,
)
from sync.operations.dial import DEFAULT_MINUTES, next_slot
from sync.settings import EmbeddedWarehouse, RawSchema, SnowflakeWarehouse
from sync.warehouse import NoResponse, RelationMissing, StatementFailed, Warehouse

Source = tuple[RawSchema, str, str]
SOURCES: Sequence[Source] = (
    ("lms", "grades_persistentcoursegrade", "modified"),
    ("lms", "student_courseenrollment", "created"),
    ("enterprise", "enterprise_enterprisecourseenrollment", "modified"),
    ("enterprise", "enterprise_enterprisecustomeruser", "modified"),
    ("enterprise", "enterprise_enterprisecustomer", "modified"),
    ("enterprise", "consent_datasharingconsent", "modified"),
    ("enterprise", "channel_integration_enterprisewebhookconfiguration", "modified"),
)
"""Replicas whose change can create an event or make an endpoint usable, each with the column of its
change time. An event type may name more.
"""
MART = ("completion_learning_time", "computed_through")
"""Its change can end a completion's wait; it is ignored while none waits."""
REPEAT_AFTER = timedelta(minutes=5)
"""After a run that left the recording to another run, which has usually finished by then."""
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
SETTINGS_UPDATED = (ENDPOINT_SETTINGS, "updated_at")
"""A table that the operator writes; its change can make an endpoint usable."""


@dataclass(frozen=True, kw_only=True)
class HandOver:
    """What a run reports to the sensor when it finishes, so no poll has to read the ledger."""

    ledger: str
    """The ``ledger_token``: if it differs now, somebody has changed the ledger since."""
    sendable_at: datetime | None
    """When a message can next be sent or a held one is checked again; naive UTC."""
    awaiting_since: datetime | None
    """When the oldest completion that waits for its learning time was recorded; naive UTC."""
    mart: str | None = None
    """While one waits: differs if the learning-time mart has changed, which may end the wait."""

    @classmethod
    def from_text(cls, text: str | None) -> HandOver | None:
        """None if there is no text, or it is from another version."""
        try:
            ledger, mart, *times = json.loads(text or "")
            sendable_at, since = (one and datetime.fromisoformat(one) for one in times)
        except (TypeError, ValueError):
            return None
        return cls(ledger=ledger, mart=mart, sendable_at=sendable_at, awaiting_since=since)

    def text(self) -> str:
        """As text, for a note of the run."""
        times = (self.sendable_at, self.awaiting_since)
        return json.dumps([self.ledger, self.mart, *(one and one.isoformat() for one in times)])

    def due_at(self, max_wait: timedelta) -> datetime | None:
        """When a run next has something to do, if a completion may wait this long."""
        awaited = None if self.awaiting_since is None else self.awaiting_since + max_wait
        return min((one for one in (self.sendable_at, awaited) if one), default=None)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the last poll saw; kept as the sensor's cursor. Losing it costs nothing.

    A cursor that lacks any field except ``tables`` is from another version of this code and is
    ignored.
    """

    sources: str
    """The ``sources_token``; empty if the sources could not be read."""
    ledger: str
    """The ``ledger_token``."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """Maps ``schema/table`` of each raw table to a token that differs if it has changed."""

    @classmethod
    def from_cursor(cls, cursor: str | None) -> Seen:
        """Nothing has been seen if there is no cursor, or it is from another version."""
        try:
            return cls(**json.loads(cursor or "{}"))
        except (TypeError, ValueError):
            return NOTHING_SEEN

    def cursor(self) -> str:
        """As text."""
        return json.dumps(asdict(self))


NOTHING_SEEN = Seen(sources="", ledger="")


@dataclass(frozen=True)
class Poll:
    """What there is to do now, and what to remember."""

    seen: Seen
    due: str | None = None
    """Why a run is needed whether or not a source has changed; None when nothing is due."""
    due_at: datetime | None = None
    """When the next webhook comes due, as reported by the last run; naive UTC."""
    problem: StatementFailed | None = None
    """Why the sources could not be read."""


def poll(
    warehouse: Warehouse,
    before: Seen,
    *,
    told: HandOver | None,
    now: datetime,
    max_wait: timedelta,
) -> Poll:
    """Read tokens: one statement, which on Snowflake needs no warehouse.

    ``told`` is what the last run handed over, if any. ``max_wait`` is how long a completion may
    wait for its learning time: zero while the flag is off. ``now`` is naive UTC. Unreadable sources
    do not block retries: then only the ledger's token is read.

    Raises:
        StatementFailed: the ledger does not exist or may not be read.
    """
    problem = None
    try:
        tables, sources, ledger, mart = _tokens(warehouse, watched_with(completions()))
    except NoResponse:
        raise
    except StatementFailed as error:
        problem = error
        tables, sources, ledger, mart = before.tables, "", ledger_token(warehouse), None
    seen = Seen(sources=sources, ledger=ledger, tables=tables)
    due_at = None if told is None else told.due_at(max_wait)
    due = None
    if told is not None and told.ledger != ledger:
        due = "the ledger has changed since the last run"
    elif told is not None and told.mart is not None and mart not in (None, told.mart):
        due = "the mart that a completion waits for has changed"
    elif due_at is not None and due_at <= now:
        due = f"a webhook came due at {due_at:{TIME_FORMAT}} UTC"
    return Poll(seen, due, due_at, problem)


def hand_over(warehouse: Warehouse, ledger: str, left: Remaining) -> HandOver:
    """What a run that leaves ``left`` hands over; one statement, only while a completion waits.

    ``ledger`` is the token read before ``left``, so that changes made by others count as changes.
    """
    mart = None
    if left.awaiting_since is not None:
        with suppress(RelationMissing):
            mart = warehouse.value(f"select {_mart_change(warehouse)} as mart")
    return HandOver(
        ledger=ledger, mart=mart, sendable_at=left.sendable_at, awaiting_since=left.awaiting_since
    )


def ledger_token(warehouse: Warehouse) -> str:
    """Opaque: differs if the outbox, an endpoint's state or override, or a pause has changed.
    One statement, which on Snowflake needs no warehouse."""
    return warehouse.value(f"select {_ledger_change(warehouse)} as ledger")


def watched(types: Iterable[EventType]) -> Sequence[Source]:
    """The replicas whose change can create an event of these types or make an endpoint usable."""
    named: list[Source] = [
        (one.source, one.table, one.changed_at) for each in types for one in each.replicas
    ]
    return list(dict.fromkeys((*SOURCES, *named)))


def watched_with(source: EventType) -> Sequence[Source]:
    """What a run that records this event type reads: a type with its own schedule is recorded
    alone, all others together."""
    others = [one for one in recorded_types() if not one.schedule]
    return watched([source] if source.schedule else others)


def sources_token(warehouse: Warehouse, sources: Sequence[Source] | None = None) -> str:
    """The state of the replicas that a run sees: opaque, differs if one of them has changed.

    Read it before the run reads the replicas, so that a later change counts as a new one. It
    includes the warehouse's name, so a staging copy's token never matches production. ``sources``
    default to those of a delivery run.

    Raises:
        StatementFailed: a source does not exist or may not be read.
    """
    return _tokens(warehouse, sources or watched_with(completions()))[1]


@dataclass(frozen=True)
class LastRun:
    """The newest finished delivery run; manually started dry runs do not count."""

    run_id: str
    began_at: datetime
    """Naive UTC."""
    has_failed: bool
    """It failed, was canceled, or never started."""
    left_until: datetime | None = None
    """If it left events to another run or to a person, when to try again; naive UTC."""
    saw: str | None = None
    """The ``sources_token`` that it noted."""


@dataclass(frozen=True)
class Start:
    """Start a run. The key stays the same while nothing changes and no run finishes or hangs."""

    reason: str
    key: str
    seen: Seen


@dataclass(frozen=True)
class Skip:
    """Start no run, and remember ``seen``."""

    reason: str
    seen: Seen


def decide(
    before: Seen,
    found: Poll,
    *,
    is_handled: bool,
    last: LastRun | None,
    now: datetime,
    dial: int = DEFAULT_MINUTES,
    stuck: str | None = None,
) -> Start | Skip:
    """Start a run if there is something to do and none has started in this slot of the dial.

    ``is_handled``: a run has noted exactly these sources and finished all of its work. ``stuck``
    is the newest run that has been running too long to wait for.
    """
    if last is None and found.problem is not None:
        return Skip(f"not set up yet: {found.problem}", found.seen)
    has_failed = last is not None and last.has_failed
    has_left = last is not None and last.left_until is not None
    # What was left waits until it can be done; what has changed since then does not.
    waits = last.left_until if last is not None and last.saw == found.seen.sources else None
    wanted = []
    if found.due is not None:
        wanted.append((found.due, now))
    if not is_handled or has_failed or has_left:
        reason = _reason(before, found, is_handled=is_handled, has_failed=has_failed)
        wanted.append((reason, waits or now))
    if not wanted:
        due = f"next due at {found.due_at:{TIME_FORMAT}} UTC" if found.due_at else "nothing is due"
        return Skip(f"nothing has changed; {due}", found.seen)
    reason, at = min(wanted, key=lambda one: one[1])
    if last is not None:
        at = max(at, next_slot(last.began_at, dial))
    if at > now:
        return Skip(
            f"{reason}, but a run has just started; next try after {at:{TIME_FORMAT}} UTC",
            found.seen,
        )
    # Dagster starts no second run under the key of a stuck one.
    text = found.seen.cursor() + (last.run_id if last is not None else "") + (stuck or "")
    return Start(reason, hashlib.sha256(text.encode()).hexdigest()[:32], found.seen)


def _reason(before: Seen, found: Poll, *, is_handled: bool, has_failed: bool) -> str:
    if found.problem is not None:
        return f"the replicas cannot be read ({found.problem})"
    if has_failed:
        return "the last run failed"
    if is_handled or found.seen.sources == before.sources:
        return "some changes have not been detected yet"
    return "the replicas have changed"


def _tokens(
    warehouse: Warehouse, sources: Sequence[Source]
) -> tuple[dict[str, str], str, str, str]:
    """Tokens of each raw table, all sources together, ledger and mart; one statement."""
    settings, updated = SETTINGS_UPDATED
    asked = [
        *((warehouse.raw_relation(schema, name), column) for schema, name, column in sources),
        (warehouse.relation("sync", settings), updated),
    ]
    columns = ", ".join(
        f"{_change(warehouse, *one)} as token_{number}" for number, one in enumerate(asked)
    )
    row = warehouse.rows(
        f"select {columns}, {_ledger_change(warehouse)} as ledger,"
        f" {_mart_change(warehouse)} as mart"
    )[0]
    tokens = [row[f"token_{number}"] for number in range(len(asked))]
    text = f"{place_of(warehouse.settings)} {tokens}"
    names = (f"{schema}/{name}" for schema, name, _ in sources)
    tables = dict(zip(names, tokens, strict=False))
    return tables, hashlib.sha256(text.encode()).hexdigest()[:32], row["ledger"], row["mart"]


def _mart_change(warehouse: Warehouse) -> str:
    mart, covered = MART
    return _change(warehouse, warehouse.relation("marts", mart), covered)


def _ledger_change(warehouse: Warehouse) -> str:
    tables = (OUTBOX, ENDPOINT_STATE, PAUSES, ENDPOINT_OVERRIDES)
    return " || ';' || ".join(
        _change(warehouse, warehouse.relation("sync", one), "updated_at") for one in tables
    )


def _change(warehouse: Warehouse, table: str, column: str) -> str:
    """SQL for a text that differs if a table has changed.

    Snowflake keeps the commit time of the last change in metadata; it is only compared. The
    embedded engine keeps no such metadata, and a query there costs nothing.
    """
    match warehouse.settings:
        case SnowflakeWarehouse():
            return f"coalesce(system$last_change_commit_time('{table}')::varchar, '')"
        case EmbeddedWarehouse():
            return f"(select count(*) || '/' || coalesce(max({column})::varchar, '') from {table})"
