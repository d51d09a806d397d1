"""Decide each recorded event once: where it goes, with what body, or why it goes nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sync.clock import Clock
from sync.delivery.endpoints import Endpoints, load_endpoints
from sync.delivery.events import MartUnreadable, undecided, undecided_types
from sync.delivery.learning_time import (
    LOOKUP_BATCH,
    CompletionKey,
    Found,
    LearningTimeClient,
    LearningTimeOutcome,
    NoData,
    NotYet,
    Unavailable,
)
from sync.domain.bodies import BodyMissing, Content, IdentityMissing, PayloadError
from sync.domain.event_types import event_types
from sync.domain.facts import FactsError, LearningTime
from sync.domain.rollout import EVERYBODY, LeftOut, Rollout
from sync.domain.routing import NotRouted, Routed, choose_endpoint, region_of
from sync.domain.states import Reason, State
from sync.domain.work import Event, Message
from sync.ledger.outbox import Outbox
from sync.ledger.steps import Hook, Step, nothing
from sync.warehouse import Warehouse

PAGE = 5_000
FLAG_OFF = "flag_off"
NOT_IN_ROLLOUT = "not_in_rollout"
DEFAULT_MAX_WAIT = timedelta(minutes=60)


@dataclass(frozen=True, kw_only=True)
class EnrichmentPolicy:
    """Whether to enrich, for which completions, and how long one may wait for the mart."""

    enabled: bool
    max_wait: timedelta = DEFAULT_MAX_WAIT
    rollout: Rollout = EVERYBODY
    is_shadow_looked_up: bool = False
    """Whether to look up, once messages are built, what enriching the others would have found."""

    def leaves_out(self, event: Event) -> LeftOut | None:
        """Why the rollout leaves a completion out; None when it does not."""
        return self.rollout.leaves_out(
            event.enterprise_customer_uuid, event.user_id, event.courserun_key
        )


@dataclass(frozen=True, kw_only=True)
class Build:
    """Send this message."""

    route: Routed
    message: Message
    left_out: LeftOut | None = None
    """Why the rollout leaves it out, if that is why it has no learning time."""
    is_in_shadow: bool = False
    """Whether its endpoint wants learning time but it was not looked up."""
    problem: str | None = None
    """Why learning time was still unavailable when the wait ended."""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Keep it until ``problem`` is fixed; each run decides it again."""

    route: Routed | NotRouted
    reason: Reason
    problem: str


@dataclass(frozen=True, kw_only=True)
class Suppress:
    """Never send it: its customer did not ask for it, or there is nothing to correct."""

    route: Routed | NotRouted
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Leave it awaiting learning time, at most until ``until``."""

    route: Routed
    reason: str
    """not_yet or unavailable."""
    until: datetime
    problem: str | None = None


Decision = Build | Hold | Suppress | Wait


def wanted(
    events: Iterable[Event], *, endpoints: Endpoints, policy: EnrichmentPolicy
) -> list[CompletionKey]:
    """The learning times that ``decide`` needs for these events."""
    if not policy.enabled:
        return []
    return [
        key_of(event)
        for event in events
        if wants_learning_time(event, route_of(event, endpoints))
        and policy.leaves_out(event) is None
    ]


def decide(
    event: Event,
    *,
    endpoints: Endpoints,
    outcomes: Mapping[CompletionKey, LearningTimeOutcome],
    policy: EnrichmentPolicy,
    now: datetime,
) -> Decision:
    """The decision for an event; a pure function. ``outcomes`` has every key of ``wanted``."""
    route = route_of(event, endpoints)
    if not event.facts:
        problem = "the marts no longer hold it: consent or link withdrawn, or account retired"
        return Hold(route=route, reason=Reason.NO_LONGER_REPORTABLE, problem=problem)
    broken = endpoints.problem_of(event.enterprise_customer_uuid, route)
    if broken is not None:
        return Hold(route=route, reason=Reason.ENDPOINT_ROW_INVALID, problem=broken)
    match route:
        case Routed():
            outcome = outcomes.get(key_of(event)) if wants_learning_time(event, route) else None
            return _build(event, route, outcome, policy, now)
        case NotRouted(reason=Reason.EU_FALLBACK_NOT_ALLOWED as reason):
            problem = "a learner in the EU has no endpoint of region EU"
            return Hold(route=route, reason=reason, problem=problem)
        case NotRouted(reason=Reason.NO_ACTIVE_ENDPOINT as reason):
            # As for a message that is built: the endpoint can be switched on again.
            problem = "the customer's endpoint is switched off"
            return Hold(route=route, reason=reason, problem=problem)
        case NotRouted(reason=Reason.NO_ENDPOINT) if _had_endpoint(event):
            # Held, not suppressed: the endpoint may be created again.
            problem = "the customer's endpoint was deleted"
            return Hold(route=route, reason=Reason.ENDPOINT_MISSING, problem=problem)
        case NotRouted():
            return Suppress(route=route, reason=route.reason)


def decide_all(
    events: Sequence[Event],
    *,
    endpoints: Endpoints,
    client: LearningTimeClient,
    policy: EnrichmentPolicy,
    now: datetime,
) -> list[tuple[Event, Decision]]:
    """Look up what is wanted, one statement per ``LOOKUP_BATCH`` events, and decide each event."""
    outcomes = client.get_many(wanted(events, endpoints=endpoints, policy=policy))
    return [
        (
            event,
            decide(event, endpoints=endpoints, outcomes=outcomes, policy=policy, now=now),
        )
        for event in events
    ]


@dataclass
class BuildReport:
    """What was decided, or would be, in numbers of events."""

    built: Counter[str] = field(default_factory=Counter)
    """By enrichment outcome, as in ``Message``."""
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    """The completions that are not_in_rollout, by reason."""
    waiting: Counter[str] = field(default_factory=Counter)
    """Left awaiting the mart, by reason: not_yet, unavailable."""
    suppressed: Counter[Reason] = field(default_factory=Counter)
    held: Counter[Reason] = field(default_factory=Counter)
    """Kept until a setting or a row is fixed; each run decides them again."""
    problems: Counter[str] = field(default_factory=Counter)
    """Why rows are held and learning time is unavailable, as text; no personal data."""
    shadow: Counter[str] = field(default_factory=Counter)
    """What enriching would have found for messages built as flag_off or not_in_rollout."""
    shadow_seen: int = 0
    """How many messages of that kind there were; at most ``LOOKUP_BATCH`` are looked up."""

    def count(self, decision: Decision) -> None:
        """Add one decision."""
        match decision:
            case Build(message=message):
                self.built[message.enrichment_outcome] += 1
                if decision.left_out is not None:
                    self.left_out[decision.left_out] += 1
                self.shadow_seen += decision.is_in_shadow
            case Hold(reason=reason):
                self.held[reason] += 1
            case Suppress(reason=reason):
                self.suppressed[reason] += 1
            case Wait(reason=reason):
                self.waiting[reason] += 1
        if not isinstance(decision, Suppress) and decision.problem is not None:
            self.problems[decision.problem] += 1


def build(
    warehouse: Warehouse,
    outbox: Outbox,
    client: LearningTimeClient,
    *,
    policy: EnrichmentPolicy,
    clock: Clock,
    hook: Hook = nothing,
) -> BuildReport:
    """Build the message of every recorded event that does not have to wait any longer.

    The number of statements grows with pages of ``PAGE`` rows and with the bytes of the bodies. A
    row that waits keeps its state, and the next run decides it again. The shadow lookup comes
    last, takes at most one statement, and changes nothing, whatever its outcome.

    Facts are read now, not at recording. A mart that cannot be read does not stop events of others.

    Raises:
        MartUnreadable: a mart of events cannot be read; the messages of the others are built.
        StatementFailed: the ledger or the endpoints cannot be read; nothing is lost.
    """
    endpoints = load_endpoints(warehouse)
    report = BuildReport()
    shadowed: list[CompletionKey] = []
    unreadable: list[MartUnreadable] = []
    for page in _pages(warehouse, unreadable):
        decided = decide_all(page, endpoints=endpoints, client=client, policy=policy, now=clock())
        for event, decision in decided:
            report.count(decision)
            is_in_shadow = isinstance(decision, Build) and decision.is_in_shadow
            if is_in_shadow and len(shadowed) < LOOKUP_BATCH:
                shadowed.append(key_of(event))
        changes = [row for one in decided if (row := ledger_row(*one)) is not None]
        outbox.decide(changes, hook=hook)
        hook(Step.BUILT)
    if policy.is_shadow_looked_up:
        found = client.get_many(shadowed)
        report.shadow.update(outcome_name(one) for one in found.values())
    if unreadable:
        raise unreadable[0]
    return report


def ledger_row(event: Event, decision: Decision) -> Mapping[str, object] | None:
    """The decision as ``Outbox.decide`` takes it; None when nothing changes."""
    match decision:
        case Wait():
            return None
        case Build(message=message):
            through = message.learning_time_computed_through
            change: Mapping[str, object] = vars(message) | {
                "state": State.PENDING,
                "body": message.body.decode("utf-8"),
                "learning_time_computed_through": through.isoformat() if through else None,
            }
        case Hold(reason=reason):
            if event.lost_endpoint_id is None and event.state_reason == reason:
                return None
            change = {"state": State.HELD, "state_reason": reason}
        case Suppress(reason=reason):
            change = {"state": State.SUPPRESSED, "state_reason": reason}
    return {
        **change,
        "webhook_id": event.webhook_id,
        "region": decision.route.region,
        "lost_endpoint_id": event.lost_endpoint_id,
    }


def key_of(event: Event) -> CompletionKey:
    """The key for its learning time lookup."""
    return CompletionKey(event.enterprise_customer_uuid, event.user_id, event.courserun_key)


def route_of(event: Event, endpoints: Endpoints) -> Routed | NotRouted:
    """Where it goes, by the learner's country, or why it goes nowhere."""
    return choose_endpoint(
        region_of(_text(event, "learner_country"), _text(event, "enterprise_country")),
        endpoints.by_enterprise.get(event.enterprise_customer_uuid, ()),
        event_type=event_types()[event.event_type],
        courserun_key=event.courserun_key,
        enrollment_mode=_text(event, "enrollment_mode"),
    )


def wants_learning_time(event: Event, route: Routed | NotRouted) -> bool:
    """Whether learning time belongs in the message: both event type and endpoint must have it."""
    return (
        event_types()[event.event_type].has_learning_time
        and isinstance(route, Routed)
        and route.endpoint.is_learning_time_enabled
    )


def outcome_name(outcome: LearningTimeOutcome) -> str:
    """The name of a lookup's outcome in the ledger."""
    match outcome:
        case Found():
            return "found"
        case NoData():
            return "no_data"
        case NotYet():
            return "not_yet"
        case Unavailable():
            return "unavailable"


def _build(
    event: Event,
    route: Routed,
    outcome: LearningTimeOutcome | None,
    policy: EnrichmentPolicy,
    now: datetime,
) -> Decision:
    """``outcome`` is None where learning time was not looked up."""
    problem = outcome.reason if isinstance(outcome, Unavailable) else None
    until = event.recorded_at + policy.max_wait
    if isinstance(outcome, NotYet | Unavailable) and now < until:
        return Wait(route=route, reason=outcome_name(outcome), until=until, problem=problem)
    found = (
        LearningTime(outcome.seconds, outcome.computed_through)
        if isinstance(outcome, Found)
        else None
    )
    if event.correction is not None:
        if found is None:
            return Suppress(route=route, reason=Reason.CORRECTION_WITHOUT_NUMBER)
        if not event.correction.is_needed(found.total_seconds):
            return Suppress(route=route, reason=Reason.CORRECTION_NOT_NEEDED)
    try:
        facts = event_types()[event.event_type].facts_class.read(event.facts)
        body = route.endpoint.format.body(
            Content(
                webhook_id=event.webhook_id,
                event_type=event.event_type,
                facts=facts,
                recorded_at=event.recorded_at,
                settings=route.endpoint,
                learning_time=found,
                correction=event.correction,
            )
        )
    except IdentityMissing as error:
        return Hold(route=route, reason=Reason.IDENTITY_MISSING, problem=str(error))
    except BodyMissing as error:
        # The missing body may be in a file that cannot be read, so those are named too.
        files = sorted(route.endpoint.formats.problems.values())
        problem = "; ".join([str(error), *files])
        return Hold(route=route, reason=Reason.PAYLOAD_INVALID, problem=problem)
    except (FactsError, PayloadError) as error:
        return Hold(route=route, reason=Reason.PAYLOAD_INVALID, problem=str(error))
    name = _enrichment(event, route, outcome, policy)
    return Build(
        route=route,
        message=Message(
            endpoint_id=route.endpoint.endpoint_id,
            payload_format=route.endpoint.payload_format,
            body=body,
            enrichment_outcome=name,
            learning_time_seconds=found.total_seconds if found else None,
            learning_time_computed_through=(
                outcome.computed_through if isinstance(outcome, Found | NoData | NotYet) else None
            ),
        ),
        left_out=policy.leaves_out(event) if name == NOT_IN_ROLLOUT else None,
        is_in_shadow=name in (FLAG_OFF, NOT_IN_ROLLOUT) and wants_learning_time(event, route),
        problem=problem,
    )


def _enrichment(
    event: Event, route: Routed, outcome: LearningTimeOutcome | None, policy: EnrichmentPolicy
) -> str:
    """Why the message has learning time or not, as the ledger names it."""
    if not event_types()[event.event_type].has_learning_time:
        return "not_a_completion"
    if outcome is not None:
        return outcome_name(outcome)
    if not policy.enabled:
        return FLAG_OFF
    return NOT_IN_ROLLOUT if wants_learning_time(event, route) else "endpoint_opted_out"


def _text(event: Event, fact: str) -> str | None:
    value = event.facts.get(fact)
    return value if isinstance(value, str) else None


def _had_endpoint(event: Event) -> bool:
    return event.lost_endpoint_id is not None or (
        event.state is State.HELD and event.state_reason != Reason.NO_LONGER_REPORTABLE
    )


def _pages(warehouse: Warehouse, unreadable: list[MartUnreadable]) -> Iterator[Sequence[Event]]:
    """Undecided events of all types; one whose mart cannot be read is added to ``unreadable``."""
    for event_type in undecided_types(warehouse):
        try:
            yield from undecided(warehouse, event_type, page=PAGE)
        except MartUnreadable as error:
            unreadable.append(error)
