"""What the next run would do: its own decisions, on a session that cannot write."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
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
from sync.delivery.events import due_messages, undecided, undecided_types
from sync.delivery.learning_time import LearningTimeClient
from sync.delivery.record import (
    DEFAULT_MASS_SEND_LIMIT,
    OverLimit,
    Recorded,
    is_looked_for,
    new_events,
    plan_record,
)
from sync.domain.destination import NotReady, Ready
from sync.domain.endpoint import Endpoint
from sync.domain.event_types import COURSE_COMPLETION, EventType, completions
from sync.domain.routing import Routed
from sync.domain.states import Reason, State
from sync.domain.work import Event
from sync.errors import SyncError
from sync.ledger.activation import recorded_activation
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.pauses import read_pauses
from sync.warehouse import RelationMissing, Warehouse

Verdict = Literal["send", "wait", "hold", "suppress"]
Origin = Literal["new", "recorded", "held", "built"]
AtEndpoint = Callable[[int, str, str], tuple[Verdict, str | None]]
"""The verdict on a customer's message in a format at an endpoint."""
KEY = ("webhook_id", "event_type", "enterprise_customer_uuid", "courserun_key")
MESSAGES_LISTED = 1_000
"""Messages built earlier that are listed; all are counted."""
OVER_LIMIT = "mass_send_limit"
"""Why a new event would wait when too many are new."""
OVER_LIMIT_LISTED = 100
"""Such events that are listed per source: there may be millions, and none would be sent."""


class Fate(NamedTuple):
    """What would happen to a webhook."""

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
    """One webhook and its fate. No personal data except in ``body``."""

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
        """The same for JSON; the body only on request."""
        document = vars(self) | self.fate._asdict()
        del document["fate"], document["body"]
        if with_body:
            document["body"] = json.loads(self.body) if self.body is not None else None
        return document


@dataclass(kw_only=True)
class NextRun:
    """The next run, decided in advance."""

    mass_send_limit: int
    is_activated: bool
    """False: the next run is the first and permanently decides which completions are old."""
    lines: list[Line] = field(default_factory=list)
    """Every event without a message, and the first ``MESSAGES_LISTED`` messages."""
    fates: Counter[Fate] = field(default_factory=Counter)
    """Of all webhooks except those that the guard would hold back."""
    events: BuildReport = field(default_factory=BuildReport)
    """The report of that run on events without a message."""
    before_activation: int = 0
    """New events from before the activation, which would be recorded as suppressed."""
    held_back: int = 0
    """New events of sources that have more than the limit: none of them would be recorded."""
    problems: Counter[str] = field(default_factory=Counter)
    """Why webhooks are held or without learning time, in words."""

    @property
    def sent(self) -> int:
        """All that would be sent."""
        return sum(n for one, n in self.fates.items() if one.verdict == "send")

    @property
    def due(self) -> int:
        """Messages built earlier that would be sent."""
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

    def by_endpoint(self) -> list[dict[str, object]]:
        """Messages by endpoint and verdict, as rows of a table."""
        counts: Counter[tuple[int, str, str, str]] = Counter()
        for one, n in self.fates.items():
            if one.enrichment_outcome is not None:
                place = one.endpoint_id or 0, one.verdict, one.reason or ""
                counts[*place, one.payload_format or ""] += n
        names = ("endpoint", "verdict", "why", "format", "webhooks")
        return [dict(zip(names, (*key, n), strict=True)) for key, n in sorted(counts.items())]


class WriteRefused(SyncError):
    """A dry run was about to change something: a bug in this program."""


class ReadOnly(Warehouse):
    """A session that passes queries on and refuses everything else."""

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__(warehouse.settings, warehouse._connection)

    def _run(self, sql: str, binds: tuple[object, ...]) -> Any:
        # Neither engine takes a common table expression in front of a statement that writes.
        if sql.lstrip().split(maxsplit=1)[0].lower() not in ("select", "with"):
            raise WriteRefused("a preview only reads")
        return super()._run(sql, binds)


def next_run(
    warehouse: Warehouse,
    *,
    policy: EnrichmentPolicy,
    clock: Clock,
    readiness_of: Callable[[Endpoint], Ready | NotReady],
    sources: Sequence[EventType] | None = None,
    activated_at: datetime | None = None,
    mass_send_limit: int = DEFAULT_MASS_SEND_LIMIT,
) -> NextRun:
    """Decide everything as the next run would, and write nothing.

    ``sources`` are those in which a run would look for new events, completions by default;
    ``activated_at`` is for completions and applies before the first run only, as in ``record``. Of
    new events beyond the limit, which no run would record, only the first are read.

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
    found = NextRun(mass_send_limit=mass_send_limit, is_activated=is_activated)
    endpoints, client, now = load_endpoints(session), LearningTimeClient(session), clock()
    states = EndpointStates(session).load({*endpoints.by_id, *endpoints.problems})
    pauses = read_pauses(session, now)

    @cache
    def standing_of(endpoint_id: int) -> tuple[Verdict, str | None]:
        endpoint, problem = endpoints.by_id.get(endpoint_id), endpoints.problems.get(endpoint_id)
        if endpoint is None and problem is None:
            return "hold", Reason.ENDPOINT_MISSING
        state = states[endpoint_id]
        match standing(endpoint, state, readiness_of=readiness_of, now=now, problem=problem):
            case NotReady(reason, problem):
                found.problems[f"endpoint {endpoint_id}: {problem}"] += 1
                return "hold", reason
            case Ready() if endpoint is not None and pauses.of(
                endpoint_id, endpoint.enterprise_customer_uuid
            ):
                return "wait", "paused"
            case Ready():
                is_blocked = state.is_blocked_at(now)
                return ("wait", "endpoint_blocked") if is_blocked else ("send", None)

    def at_endpoint(
        endpoint_id: int, enterprise: str, payload_format: str
    ) -> tuple[Verdict, str | None]:
        verdict, reason = standing_of(endpoint_id)
        # Like a run, hold first what cannot be sent at all.
        if verdict != "hold" and (
            endpoints.by_id[endpoint_id].enterprise_customer_uuid != enterprise
        ):
            return "hold", Reason.ENDPOINT_MISSING
        problem = endpoints.formats.problem_of(payload_format)
        if verdict != "hold" and problem is not None:
            found.problems[f"endpoint {endpoint_id}: payload_format: {problem}"] = 1
            return "hold", Reason.ENDPOINT_ROW_INVALID
        return verdict, reason

    def decided(events: Sequence[Event]) -> Iterator[tuple[Event, Decision]]:
        for start in range(0, len(events), PAGE):
            page = events[start : start + PAGE]
            yield from decide_all(page, endpoints=endpoints, client=client, policy=policy, now=now)

    def add(origin: Origin, event: Event, decision: Decision) -> None:
        fate = _fate(origin, event, decision, at_endpoint)
        found.events.count(decision)
        found.fates[fate] += 1
        found.lines.append(_line(event, decision, fate))

    for source in (completions(),) if sources is None else sources:
        if not is_looked_for(session, source, is_enriching=policy.enabled):
            continue
        plan = plan_record(
            session,
            clock=clock,
            source=source,
            activated_at=activated_at if source.name == COURSE_COMPLETION else None,
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
    for event_type in undecided_types(session):
        for page in undecided(session, event_type, page=PAGE):
            for event, decision in decided(page):
                add("recorded" if event.state is State.AWAITING else "held", event, decision)
    fates, lines = _messages(session, at_endpoint, now)
    found.fates += fates
    found.lines += lines
    found.problems += found.events.problems
    return found


def _fate(origin: Origin, event: Event, decision: Decision, at_endpoint: AtEndpoint) -> Fate:
    outcome, reason = None, None
    match decision:
        case Build(message=message):
            verdict, reason = at_endpoint(
                message.endpoint_id, event.enterprise_customer_uuid, message.payload_format
            )
            outcome = message.enrichment_outcome
        case Hold(reason=reason):
            verdict = "hold"
        case Suppress(reason=reason):
            verdict = "suppress"
        case Wait():
            verdict, reason = "wait", f"learning_time_{decision.reason}"
    if not isinstance(decision.route, Routed):
        return Fate(origin, verdict, reason)
    endpoint = decision.route.endpoint
    return Fate(origin, verdict, reason, endpoint.endpoint_id, endpoint.payload_format, outcome)


def _line(event: Event, decision: Decision, fate: Fate) -> Line:
    message = decision.message if isinstance(decision, Build) else None
    return Line(
        **{name: getattr(event, name) for name in KEY},
        region=decision.route.region,
        fate=fate,
        learning_time_seconds=message and message.learning_time_seconds,
        body=message and message.body,
    )


def _messages(
    session: ReadOnly, at_endpoint: AtEndpoint, now: datetime
) -> tuple[Counter[Fate], list[Line]]:
    """The messages that are due or could be released: all counted, the first of them listed."""

    def fate(row: Mapping[str, Any]) -> Fate:
        endpoint_id = int(row["endpoint_id"])
        verdict, reason = at_endpoint(
            endpoint_id, row["enterprise_customer_uuid"], row["payload_format"]
        )
        if row["is_gone"]:
            verdict, reason = "hold", Reason.NO_LONGER_REPORTABLE
        return Fate(
            "built", verdict, reason, endpoint_id, row["payload_format"], row["enrichment_outcome"]
        )

    query, binds = due_messages(session, now=now)
    columns = "endpoint_id, enterprise_customer_uuid, payload_format, enrichment_outcome, is_gone"
    fates: Counter[Fate] = Counter()
    for row in session.rows(
        f"select {columns}, count(*) as n from ({query}) as due group by {columns}", *binds
    ):
        fates[fate(row)] += int(row["n"])
    first = session.rows(
        f"select * from ({query}) as due order by next_attempt_at, webhook_id"
        f" limit {MESSAGES_LISTED}",
        *binds,
    )
    return fates, [
        Line(
            **{name: row[name] for name in KEY},
            region=row["region"],
            fate=fate(row),
            learning_time_seconds=None if seconds is None else int(seconds),
            is_replay=row["replay_id"] is not None,
            body=row["body"].encode("utf-8"),
        )
        for row in first
        for seconds in [row["learning_time_seconds"]]
    ]
