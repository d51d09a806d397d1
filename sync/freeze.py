"""Decide each recorded completion once: where it goes, with what body, or why it goes nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sync.clock import Clock
from sync.completions import refresh_held
from sync.endpoints import Endpoints, load_endpoints
from sync.facts import CompletionFacts, EnrollmentFacts, EventType, FactsError
from sync.learning_time import (
    CompletionKey,
    Found,
    LearningTimeClient,
    LearningTimeOutcome,
    NoData,
    NotYet,
    Unavailable,
)
from sync.outbox import Decision, Outbox, Unfrozen
from sync.payloads import (
    LearningTime,
    PayloadError,
    PayloadFormat,
    completion_body,
    enrollment_body,
    missing_identity,
)
from sync.routing import NotRouted, NotRoutedReason, Routed, choose_endpoint, region_of
from sync.warehouse import Warehouse

PAGE = 5_000
DEFAULT_MAX_WAIT = timedelta(minutes=60)


@dataclass(frozen=True, kw_only=True)
class EnrichmentPolicy:
    """Whether to enrich, and how long a completion may wait for the mart."""

    enabled: bool
    max_wait: timedelta = DEFAULT_MAX_WAIT


@dataclass
class FreezeReport:
    """What one run decided; counts of completions."""

    frozen: Counter[str] = field(default_factory=Counter)
    """By enrichment outcome: found, no_data, not_yet, unavailable, flag_off, endpoint_opted_out,
    not_a_completion.
    """
    waiting: Counter[str] = field(default_factory=Counter)
    """Left awaiting the mart, by why: not_yet, unavailable."""
    suppressed: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    """Kept until a setting or a row is mended; decided anew at each run."""
    problems: Counter[str] = field(default_factory=Counter)
    """Texts behind held rows and unavailable learning time; no personal data."""


def freeze(
    warehouse: Warehouse,
    outbox: Outbox,
    client: LearningTimeClient,
    *,
    policy: EnrichmentPolicy,
    clock: Clock,
) -> FreezeReport:
    """Freeze every undecided completion that need not wait any longer.

    Statements grow with pages of ``PAGE`` rows and with the bytes of the bodies. A row that waits
    stays ``awaiting`` and is looked at again by the next run.

    Raises:
        StatementFailed: the ledger or the endpoints cannot be read; nothing is lost.
    """
    refresh_held(warehouse, clock=clock)
    endpoints = load_endpoints(warehouse)
    report = FreezeReport()
    for page in _pages(outbox):
        judged = judge(
            page, endpoints=endpoints, client=client, policy=policy, clock=clock, report=report
        )
        outbox.decide(
            one.decision
            for one in judged
            # A held row that stays held needs no statement.
            if one.decision is not None and one.decision.state != one.row.state
        )
    return report


@dataclass(frozen=True)
class Judged:
    """A row and what becomes of it."""

    row: Unfrozen
    route: Routed | NotRouted
    learning_time: LearningTimeOutcome | None
    """None when it was not looked up."""
    decision: Decision | None
    """None while it waits for the mart."""


def judge(
    page: Sequence[Unfrozen],
    *,
    endpoints: Endpoints,
    client: LearningTimeClient,
    policy: EnrichmentPolicy,
    clock: Clock,
    report: FreezeReport,
) -> list[Judged]:
    """Decide a page of rows, and count the decisions in ``report``; writes nothing."""
    routes = [(row, _route(row, endpoints)) for row in page]
    wanted = [_key(row) for row, route in routes if policy.enabled and _wants(row, route)]
    outcomes = client.get_many(wanted)
    judge = _Judge(endpoints, policy, clock, report)
    judged = []
    for row, route in routes:
        outcome = outcomes.get(_key(row)) if _wants(row, route) else None
        judged.append(Judged(row, route, outcome, judge.decide(row, route, outcome)))
    return judged


@dataclass(frozen=True)
class _Judge:
    endpoints: Endpoints
    policy: EnrichmentPolicy
    clock: Clock
    report: FreezeReport

    def decide(
        self, row: Unfrozen, route: Routed | NotRouted, outcome: LearningTimeOutcome | None
    ) -> Decision | None:
        """One row's decision; None while it waits for the mart."""
        match route:
            case NotRouted():
                return self._not_routed(row, route)
            case Routed():
                return self._routed(row, route, outcome)

    def _not_routed(self, row: Unfrozen, route: NotRouted) -> Decision:
        problem = self.endpoints.unreadable.get(row.enterprise_customer_uuid)
        if problem is not None:
            return self._hold(row, route, "endpoint_row_invalid", problem)
        if route.reason is NotRoutedReason.EU_FALLBACK_NOT_ALLOWED:
            return self._hold(
                row, route, route.reason, "a learner of the EU has no endpoint of region EU"
            )
        self.report.suppressed[route.reason] += 1
        return Decision(
            webhook_id=row.webhook_id,
            state="suppressed",
            state_reason=route.reason,
            region=route.region,
        )

    def _routed(
        self, row: Unfrozen, route: Routed, outcome: LearningTimeOutcome | None
    ) -> Decision | None:
        enrichment = self._enrichment(row, outcome)
        if isinstance(outcome, Unavailable):
            self.report.problems[outcome.reason] += 1
        if isinstance(outcome, NotYet | Unavailable) and not self._deadline_passed(row):
            self.report.waiting[enrichment] += 1
            return None
        learning_time = (
            LearningTime(outcome.seconds, outcome.computed_through)
            if isinstance(outcome, Found)
            else None
        )
        try:
            facts = facts_of(row)
            unknown = missing_identity(facts.learner)
            if route.endpoint.payload_format is PayloadFormat.PERCIPIO and unknown:
                problem = f"the learner's single sign-on account lacks {' and '.join(unknown)}"
                return self._hold(row, route, "identity_missing", problem)
            body = _body(facts, row, route.endpoint.payload_format, learning_time)
        except (FactsError, PayloadError) as error:
            return self._hold(row, route, "payload_invalid", str(error))
        self.report.frozen[enrichment] += 1
        return Decision(
            webhook_id=row.webhook_id,
            state="pending",
            region=route.region,
            endpoint_id=route.endpoint.endpoint_id,
            payload_format=route.endpoint.payload_format,
            body=body,
            enrichment_outcome=enrichment,
            learning_time_seconds=learning_time.total_seconds if learning_time else None,
            learning_time_computed_through=(
                outcome.computed_through if isinstance(outcome, Found | NoData | NotYet) else None
            ),
        )

    def _enrichment(self, row: Unfrozen, outcome: LearningTimeOutcome | None) -> str:
        """The outcome's name in the ledger."""
        if row.event_type != EventType.COURSE_COMPLETION:
            return "not_a_completion"
        match outcome:
            case Found():
                return "found"
            case NoData():
                return "no_data"
            case NotYet():
                return "not_yet"
            case Unavailable():
                return "unavailable"
            case None:
                return "endpoint_opted_out" if self.policy.enabled else "flag_off"

    def _deadline_passed(self, row: Unfrozen) -> bool:
        return self.clock() >= row.recorded_at + self.policy.max_wait

    def _hold(
        self, row: Unfrozen, route: Routed | NotRouted, reason: str, problem: str
    ) -> Decision:
        self.report.held[reason] += 1
        self.report.problems[problem] += 1
        return Decision(
            webhook_id=row.webhook_id, state="held", state_reason=reason, region=route.region
        )


def facts_of(row: Unfrozen) -> CompletionFacts | EnrollmentFacts:
    """The typed facts of a row.

    Raises:
        FactsError: a fact is missing or unusable; the text names it.
    """
    match EventType(row.event_type):
        case EventType.COURSE_COMPLETION:
            return CompletionFacts.from_mapping(row.facts)
        case EventType.COURSE_ENROLLMENT:
            return EnrollmentFacts.from_mapping(row.facts)


def _body(
    facts: CompletionFacts | EnrollmentFacts,
    row: Unfrozen,
    payload_format: PayloadFormat,
    learning_time: LearningTime | None,
) -> bytes:
    match facts:
        case CompletionFacts():
            return completion_body(
                facts,
                payload_format=payload_format,
                timestamp=row.recorded_at,
                learning_time=learning_time,
            )
        case EnrollmentFacts():
            return enrollment_body(facts, payload_format=payload_format, timestamp=row.recorded_at)


def _pages(outbox: Outbox) -> Iterator[Sequence[Unfrozen]]:
    after = ""
    while page := outbox.unfrozen(after=after, limit=PAGE):
        yield page
        after = page[-1].webhook_id


def _route(row: Unfrozen, endpoints: Endpoints) -> Routed | NotRouted:
    region = region_of(_text(row, "learner_country"), _text(row, "enterprise_country"))
    return choose_endpoint(
        region,
        endpoints.by_enterprise.get(row.enterprise_customer_uuid, ()),
        event_type=EventType(row.event_type),
    )


def _text(row: Unfrozen, fact: str) -> str | None:
    value = row.facts.get(fact)
    return value if isinstance(value, str) else None


def _key(row: Unfrozen) -> CompletionKey:
    return CompletionKey(row.enterprise_customer_uuid, row.user_id, row.courserun_key)


def _wants(row: Unfrozen, route: Routed | NotRouted) -> bool:
    """Whether learning time belongs in the message: in completions only."""
    return (
        row.event_type == EventType.COURSE_COMPLETION
        and isinstance(route, Routed)
        and route.endpoint.is_learning_time_enabled
    )
