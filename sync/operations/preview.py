"""What the next run would do: its own decisions, over a session that cannot write."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sync.clock import Clock
from sync.delivery.build import (
    PAGE,
    Build,
    BuildReport,
    Decision,
    EnrichmentPolicy,
    Hold,
    Suppress,
    Wait,
    decide_all,
)
from sync.delivery.endpoints import load_endpoints, standing
from sync.delivery.events import due_messages, undecided, undecided_sources
from sync.delivery.learning_time import LearningTimeClient
from sync.delivery.record import (
    DEFAULT_MASS_SEND_LIMIT,
    OverLimit,
    Recorded,
    new_events,
    plan_record,
)
from sync.domain.destination import NotReady, Ready
from sync.domain.endpoint import Endpoint
from sync.domain.event_types import COMPLETIONS, EventType
from sync.domain.routing import Routed
from sync.domain.states import Reason, State
from sync.domain.work import Event
from sync.errors import SyncError
from sync.ledger.activation import recorded_activation
from sync.ledger.endpoint_states import EndpointStates
from sync.warehouse import RelationMissing, Warehouse

Verdict = Literal["send", "wait", "hold", "suppress"]
Origin = Literal["new", "recorded", "held", "built"]
MESSAGES_LISTED = 1_000
"""Messages built before that a preview lists; it counts all of them."""
OVER_LIMIT = "mass_send_limit"
"""Why a new event would wait when too many are new."""
OVER_LIMIT_LISTED = 100
"""Such events that a preview lists, of each source: there may be millions, and none would go."""


class Fate(NamedTuple):
    """What would become of a webhook."""

    origin: Origin
    """``new``: not in the outbox yet. ``built``: its message exists, and is due."""
    verdict: Verdict
    reason: str | None = None
    """Why it would not be sent."""
    endpoint_id: int | None = None
    payload_format: str | None = None
    enrichment_outcome: str | None = None
    """Of its message; None while it has none."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One webhook and its fate. No personal data but in ``body``."""

    webhook_id: str
    event_type: str
    enterprise_customer_uuid: str
    courserun_key: str
    region: str | None
    fate: Fate
    learning_time_seconds: int | None = None
    is_replay: bool = False
    body: bytes | None = field(default=None, repr=False)

    def as_dict(self, *, with_body: bool) -> dict[str, object]:
        """The same for JSON; the body, which is personal data, only where it is asked for."""
        document = vars(self) | self.fate._asdict()
        del document["fate"], document["body"]
        if with_body:
            document["body"] = json.loads(self.body) if self.body is not None else None
        return document

    def as_row(self) -> dict[str, object]:
        """The same for a table."""
        return {
            "webhook_id": self.webhook_id,
            "from": "replay" if self.is_replay else self.fate.origin,
            "verdict": self.fate.verdict,
            "why": self.fate.reason or self.fate.enrichment_outcome,
            "endpoint": self.fate.endpoint_id,
            "format": self.fate.payload_format,
            "seconds": self.learning_time_seconds,
            "course_run": self.courserun_key,
        }


@dataclass(kw_only=True)
class Preview:
    """The next run, before it happens."""

    mass_send_limit: int
    is_activated: bool
    """False: the next run is the first one and decides for ever which completions are old."""
    lines: list[Line] = field(default_factory=list)
    """Every event without a message, and the first ``MESSAGES_LISTED`` messages."""
    fates: Counter[Fate] = field(default_factory=Counter)
    """Of all webhooks but those that the guard would hold back."""
    events: BuildReport = field(default_factory=BuildReport)
    """The report of that run on events without a message."""
    before_activation: int = 0
    """New events that would be recorded as suppressed, being from before the activation."""
    held_back: int = 0
    """New events of sources that have more than the limit: none of them would be recorded."""
    problems: Counter[str] = field(default_factory=Counter)
    """Texts behind what is held or without learning time."""

    @property
    def due(self) -> int:
        """Messages built before that would be sent."""
        return sum(n for one, n in self.fates.items() if one[:2] == ("built", "send"))

    @property
    def guard(self) -> str | None:
        """What the mass-send guard would say; None when it would let everything through."""
        if not self.held_back:
            return None
        return (
            f"{self.held_back} events are new, more than mass_send_limit = {self.mass_send_limit}: "
            "none of them would be recorded. If the number is right, run with allow_mass_send: true"
        )

    def counts(self) -> Counter[tuple[str, str]]:
        """Webhooks by verdict, and by reason or enrichment outcome."""
        counts: Counter[tuple[str, str]] = Counter()
        for one, number in self.fates.items():
            counts[one.verdict, one.reason or one.enrichment_outcome or ""] += number
        return counts + Counter({("wait", OVER_LIMIT): self.held_back})

    def as_dict(self, *, limit: int, with_bodies: bool) -> dict[str, object]:
        """The same for JSON, with at most ``limit`` webhooks listed."""
        return {
            "counts": [
                {"verdict": verdict, "why": why, "webhooks": count}
                for (verdict, why), count in sorted(self.counts().items())
            ],
            "due": self.due,
            "before_activation": self.before_activation,
            "is_activated": self.is_activated,
            "held_back": self.held_back,
            "mass_send_guard": self.guard,
            "problems": dict(self.problems),
            "webhooks": [one.as_dict(with_body=with_bodies) for one in self.lines[:limit]],
        }


class WriteRefused(SyncError):
    """A preview was about to change something: a fault of this program."""


class ReadOnly(Warehouse):
    """A session that passes queries on and refuses everything else."""

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__(warehouse.settings, warehouse._connection)

    def _run(self, sql: str, binds: tuple[object, ...]) -> Any:
        # Neither engine takes a common table expression in front of a statement that writes.
        if sql.lstrip().split(maxsplit=1)[0].lower() not in ("select", "with"):
            raise WriteRefused("a preview only reads")
        return super()._run(sql, binds)


def preview(
    warehouse: Warehouse,
    *,
    policy: EnrichmentPolicy,
    clock: Clock,
    readiness_of: Callable[[Endpoint], Ready | NotReady],
    sources: Sequence[EventType] = (COMPLETIONS,),
    activated_at: datetime | None = None,
    mass_send_limit: int = DEFAULT_MASS_SEND_LIMIT,
) -> Preview:
    """Decide everything as the next run would, and write nothing.

    ``sources`` are those that a run would look for new events in; ``activated_at`` is for
    completions and counts before the first run only, as it does for ``record``. Of new events
    beyond the limit, which no run would record, only the first are read.

    Raises:
        RelationMissing: the ledger or a mart does not exist yet; says what creates it.
        MartUnreadable: as the run would.
        StatementFailed: the warehouse refused.
    """
    session = ReadOnly(warehouse)
    try:
        is_activated = recorded_activation(session) is not None
    except RelationMissing as error:
        raise RelationMissing(
            "the ledger does not exist yet, and a preview does not create it: run "
            "`learning-time-webhooks status` once"
        ) from error
    found = Preview(mass_send_limit=mass_send_limit, is_activated=is_activated)
    endpoints, client, now = load_endpoints(session), LearningTimeClient(session), clock()
    doors = _Doors(session, endpoints.by_id, readiness_of, now, found.problems)

    def decided(events: Sequence[Event]) -> Iterator[tuple[Event, Decision]]:
        for start in range(0, len(events), PAGE):
            page = events[start : start + PAGE]
            yield from decide_all(page, endpoints=endpoints, client=client, policy=policy, now=now)

    def add(origin: Origin, event: Event, decision: Decision) -> None:
        line = _line(event, decision, _fate(origin, event, decision, doors))
        found.events.count(decision)
        found.fates[line.fate] += 1
        found.lines.append(line)

    for source in sources:
        since = activated_at if source is COMPLETIONS else None
        plan = plan_record(
            session,
            clock=clock,
            source=source,
            activated_at=since,
            mass_send_limit=mass_send_limit,
        )
        limit = mass_send_limit if isinstance(plan, Recorded) else OVER_LIMIT_LISTED
        new = new_events(session, source, since=plan.activated_at, now=now, limit=limit)
        match plan:
            case Recorded(suppressed=old):
                found.before_activation += old
                for event, decision in decided(new):
                    add("new", event, decision)
            case OverLimit(found=number):
                found.held_back += number
                fate = Fate("new", "wait", OVER_LIMIT)
                found.lines += [_line(*one, fate) for one in decided(new)]
    for source in undecided_sources(session):
        for page in undecided(session, source, page=PAGE):
            for event, decision in decided(page):
                origin = "recorded" if event.state is State.AWAITING else "held"
                add(origin, event, decision)
    _add_messages(found, session, doors, now)
    found.problems += found.events.problems
    return found


class _Doors:
    """Whether a message can be sent to its endpoint now; looked up once for each."""

    def __init__(
        self,
        session: ReadOnly,
        configured: Mapping[int, Endpoint],
        readiness_of: Callable[[Endpoint], Ready | NotReady],
        now: datetime,
        problems: Counter[str],
    ) -> None:
        self._configured = configured
        self._states = EndpointStates(session).load(configured)
        self._readiness_of = readiness_of
        self._now = now
        self._problems = problems
        self._found: dict[int, tuple[Verdict, str | None]] = {}

    def verdict(self, endpoint_id: int, enterprise: str) -> tuple[Verdict, str | None]:
        """What a message of this customer meets there."""
        endpoint = self._configured.get(endpoint_id)
        if endpoint is None:
            return "hold", Reason.ENDPOINT_MISSING
        if endpoint_id not in self._found:
            self._found[endpoint_id] = self._look(endpoint)
        verdict, reason = self._found[endpoint_id]
        # A run holds first what cannot be sent to at all.
        if verdict != "hold" and endpoint.enterprise_customer_uuid != enterprise:
            return "hold", Reason.ENDPOINT_MISSING
        return verdict, reason

    def _look(self, endpoint: Endpoint) -> tuple[Verdict, str | None]:
        state = self._states[endpoint.endpoint_id]
        found = standing(endpoint, state, readiness_of=self._readiness_of, now=self._now)
        match found:
            case NotReady(reason, problem):
                self._problems[f"endpoint {endpoint.endpoint_id}: {problem}"] += 1
                return "hold", reason
            case Ready():
                is_blocked = state.is_blocked_at(self._now)
                return ("wait", "endpoint_rests") if is_blocked else ("send", None)


def _fate(origin: Origin, event: Event, decision: Decision, doors: _Doors) -> Fate:
    route = decision.route
    endpoint = route.endpoint if isinstance(route, Routed) else None
    outcome = None
    verdict: Verdict
    match decision:
        case Build(message=message):
            verdict, reason = doors.verdict(message.endpoint_id, event.enterprise_customer_uuid)
            outcome = message.enrichment_outcome
        case Hold(reason=reason):
            verdict = "hold"
        case Suppress(reason=reason):
            verdict = "suppress"
        case Wait():
            verdict, reason = "wait", f"learning_time_{decision.reason}"
    return Fate(
        origin,
        verdict,
        reason,
        endpoint.endpoint_id if endpoint else None,
        endpoint.payload_format if endpoint else None,
        outcome,
    )


def _line(event: Event, decision: Decision, fate: Fate) -> Line:
    message = decision.message if isinstance(decision, Build) else None
    return Line(
        webhook_id=event.webhook_id,
        event_type=event.event_type,
        enterprise_customer_uuid=event.enterprise_customer_uuid,
        courserun_key=event.courserun_key,
        region=decision.route.region,
        fate=fate,
        learning_time_seconds=message.learning_time_seconds if message else None,
        body=message.body if message else None,
    )


def _add_messages(found: Preview, session: ReadOnly, doors: _Doors, now: datetime) -> None:
    """Count the messages that are due or could be released, and list the first of them."""

    def fate(row: Mapping[str, Any]) -> Fate:
        endpoint_id = int(row["endpoint_id"])
        verdict, reason = doors.verdict(endpoint_id, row["enterprise_customer_uuid"])
        if row["is_gone"]:
            verdict, reason = "hold", Reason.NO_LONGER_REPORTABLE
        return Fate(
            "built", verdict, reason, endpoint_id, row["payload_format"], row["enrichment_outcome"]
        )

    query, binds = due_messages(session, now=now)
    columns = "endpoint_id, enterprise_customer_uuid, payload_format, enrichment_outcome, is_gone"
    for row in session.rows(
        f"select {columns}, count(*) as n from ({query}) as due group by {columns}", *binds
    ):
        found.fates[fate(row)] += int(row["n"])
    listed = session.rows(
        f"select * from ({query}) as due order by next_attempt_at, webhook_id"
        f" limit {MESSAGES_LISTED}",
        *binds,
    )
    found.lines += [
        Line(
            webhook_id=row["webhook_id"],
            event_type=row["event_type"],
            enterprise_customer_uuid=row["enterprise_customer_uuid"],
            courserun_key=row["courserun_key"],
            region=row["region"],
            fate=fate(row),
            learning_time_seconds=None if seconds is None else int(seconds),
            is_replay=row["replay_id"] is not None,
            body=row["body"].encode("utf-8"),
        )
        for row in listed
        for seconds in [row["learning_time_seconds"]]
    ]
