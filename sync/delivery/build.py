"""Decide each recorded completion once: where it goes, with what body, or why it goes nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from sync.clock import Clock
from sync.delivery.content import facts_of, key_of, route_of, wants_learning_time
from sync.delivery.current_facts import MartUnreadable, undecided, undecided_sources
from sync.delivery.endpoints import Endpoints, load_endpoints
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
from sync.domain.bodies import PayloadError
from sync.domain.event_types import EVENT_TYPES
from sync.domain.facts import FactsError, LearningTime
from sync.domain.formats import FORMATS
from sync.domain.rollout import EVERYBODY, LeftOut, Rollout
from sync.domain.routing import NotRouted, Routed
from sync.domain.states import Reason, State
from sync.ledger.outbox import Decision, Outbox, Unfrozen
from sync.ledger.steps import Hook, Step, nothing
from sync.warehouse import Warehouse

PAGE = 5_000
FLAG_OFF = "flag_off"
NOT_IN_ROLLOUT = "not_in_rollout"
DEFAULT_MAX_WAIT = timedelta(minutes=60)


@dataclass(frozen=True, kw_only=True)
class EnrichmentPolicy:
    """Whether and whom to enrich, and how long a completion may wait for the mart."""

    enabled: bool
    max_wait: timedelta = DEFAULT_MAX_WAIT
    rollout: Rollout = EVERYBODY
    is_shadow_looked_up: bool = False
    """Whether to ask, once the messages are frozen, what enriching the others would have found."""

    def leaves_out(self, row: Unfrozen) -> LeftOut | None:
        """Why the rollout leaves a completion out; None when it does not."""
        return self.rollout.leaves_out(row.enterprise_customer_uuid, row.user_id, row.courserun_key)


@dataclass
class FreezeReport:
    """What one run decided; counts of completions."""

    frozen: Counter[str] = field(default_factory=Counter)
    """By enrichment outcome: found, no_data, not_yet, unavailable, flag_off, not_in_rollout,
    endpoint_opted_out, not_a_completion.
    """
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    """The completions that are not_in_rollout, by why."""
    waiting: Counter[str] = field(default_factory=Counter)
    """Left awaiting the mart, by why: not_yet, unavailable."""
    suppressed: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    """Kept until a setting or a row is mended; decided anew at each run."""
    problems: Counter[str] = field(default_factory=Counter)
    """Texts behind held rows and unavailable learning time; no personal data."""
    shadow: Counter[str] = field(default_factory=Counter)
    """What enriching would have found for completions frozen as flag_off or not_in_rollout."""
    shadow_seen: int = 0
    """How many completions of that kind there were; ``LOOKUP_BATCH`` of them are asked about."""


def freeze(
    warehouse: Warehouse,
    outbox: Outbox,
    client: LearningTimeClient,
    *,
    policy: EnrichmentPolicy,
    clock: Clock,
    hook: Hook = nothing,
) -> FreezeReport:
    """Freeze every undecided completion that need not wait any longer.

    Statements grow with pages of ``PAGE`` rows and with the bytes of the bodies. A row that waits
    stays ``awaiting`` and is looked at again by the next run. The shadow look-up comes last, is
    one statement at most, and changes nothing whatever becomes of it.

    What a message says is read now. A mart that cannot be read stops no event of another one.

    Raises:
        MartUnreadable: a mart of events cannot be read; the messages of the others are built.
        StatementFailed: the ledger or the endpoints cannot be read; nothing is lost.
    """
    endpoints = load_endpoints(warehouse)
    report = FreezeReport()
    shadowed: list[CompletionKey] = []
    unreadable: list[MartUnreadable] = []
    for page in _pages(warehouse, unreadable):
        judged = judge(
            page, endpoints=endpoints, client=client, policy=policy, clock=clock, report=report
        )
        in_shadow = [key_of(one.row) for one in judged if _is_in_shadow(one)]
        shadowed += in_shadow[: LOOKUP_BATCH - len(shadowed)]
        report.shadow_seen += len(in_shadow)
        outbox.decide(
            replace(decision, lost_endpoint_id=one.row.lost_endpoint_id)
            for one in judged
            if (decision := one.decision) is not None
            # A held row that stays held for the same reason needs no statement.
            and (
                one.row.lost_endpoint_id is not None
                or (decision.state, decision.state_reason) != (one.row.state, one.row.state_reason)
            )
        )
        hook(Step.FROZEN)
    if policy.is_shadow_looked_up:
        report.shadow.update(outcome_name(one) for one in client.get_many(shadowed).values())
    if unreadable:
        raise unreadable[0]
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
    routes = [(row, route_of(row, endpoints)) for row in page]
    wanted = [
        key_of(row)
        for row, route in routes
        if policy.enabled and wants_learning_time(row, route) and policy.leaves_out(row) is None
    ]
    outcomes = client.get_many(wanted)
    judge = _Judge(endpoints, policy, clock, report)
    judged = []
    for row, route in routes:
        outcome = outcomes.get(key_of(row)) if wants_learning_time(row, route) else None
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
        if not row.facts:
            problem = "the marts no longer hold it: consent or link withdrawn, or account retired"
            return self._hold(row, route, Reason.NO_LONGER_REPORTABLE, problem)
        match route:
            case NotRouted():
                return self._not_routed(row, route)
            case Routed() if self.endpoints.is_own_broken(row.enterprise_customer_uuid, route):
                problem = self.endpoints.unreadable[row.enterprise_customer_uuid]
                return self._hold(row, route, Reason.ENDPOINT_ROW_INVALID, problem)
            case Routed():
                return self._routed(row, route, outcome)

    def _not_routed(self, row: Unfrozen, route: NotRouted) -> Decision:
        problem = self.endpoints.unreadable.get(row.enterprise_customer_uuid)
        if problem is not None:
            return self._hold(row, route, Reason.ENDPOINT_ROW_INVALID, problem)
        if route.reason is Reason.EU_FALLBACK_NOT_ALLOWED:
            return self._hold(
                row, route, route.reason, "a learner of the EU has no endpoint of region EU"
            )
        if route.reason is Reason.NO_ACTIVE_ENDPOINT:
            # As after freezing: what is switched off can be switched on again.
            return self._hold(row, route, route.reason, "the customer's endpoint is switched off")
        if row.lost_endpoint_id is not None or (
            row.state is State.HELD and row.state_reason != Reason.NO_LONGER_REPORTABLE
        ):
            # It had an endpoint, which is deleted, perhaps to be made anew.
            return self._hold(
                row, route, Reason.ENDPOINT_MISSING, "the customer's endpoint was deleted"
            )
        self.report.suppressed[route.reason] += 1
        return Decision(
            webhook_id=row.webhook_id,
            state=State.SUPPRESSED,
            state_reason=route.reason,
            region=route.region,
        )

    def _routed(
        self, row: Unfrozen, route: Routed, outcome: LearningTimeOutcome | None
    ) -> Decision | None:
        enrichment = self._enrichment(row, route, outcome)
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
            body_format = FORMATS[route.endpoint.payload_format]
            if unknown := body_format.missing_identity(facts):
                problem = f"the learner's single sign-on account lacks {' and '.join(unknown)}"
                return self._hold(row, route, Reason.IDENTITY_MISSING, problem)
            body = body_format.body(facts, recorded_at=row.recorded_at, learning_time=learning_time)
        except (FactsError, PayloadError) as error:
            return self._hold(row, route, Reason.PAYLOAD_INVALID, str(error))
        self.report.frozen[enrichment] += 1
        left_out = self.policy.leaves_out(row) if enrichment == NOT_IN_ROLLOUT else None
        if left_out is not None:
            self.report.left_out[left_out] += 1
        return Decision(
            webhook_id=row.webhook_id,
            state=State.PENDING,
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

    def _enrichment(self, row: Unfrozen, route: Routed, outcome: LearningTimeOutcome | None) -> str:
        """The outcome's name in the ledger."""
        if not EVENT_TYPES[row.event_type].has_learning_time:
            return "not_a_completion"
        if outcome is not None:
            return outcome_name(outcome)
        if not self.policy.enabled:
            return FLAG_OFF
        return NOT_IN_ROLLOUT if wants_learning_time(row, route) else "endpoint_opted_out"

    def _deadline_passed(self, row: Unfrozen) -> bool:
        return self.clock() >= row.recorded_at + self.policy.max_wait

    def _hold(
        self, row: Unfrozen, route: Routed | NotRouted, reason: Reason, problem: str
    ) -> Decision:
        self.report.held[reason] += 1
        self.report.problems[problem] += 1
        return Decision(
            webhook_id=row.webhook_id, state=State.HELD, state_reason=reason, region=route.region
        )


def outcome_name(outcome: LearningTimeOutcome) -> str:
    """The name of a look-up's outcome in the ledger."""
    match outcome:
        case Found():
            return "found"
        case NoData():
            return "no_data"
        case NotYet():
            return "not_yet"
        case Unavailable():
            return "unavailable"


def _pages(warehouse: Warehouse, unreadable: list[MartUnreadable]) -> Iterator[Sequence[Unfrozen]]:
    """Undecided rows of all kinds; a kind whose mart cannot be read ends up in ``unreadable``."""
    for source in undecided_sources(warehouse):
        try:
            yield from undecided(warehouse, source, page=PAGE)
        except MartUnreadable as error:
            unreadable.append(error)


def _is_in_shadow(judged: Judged) -> bool:
    """Whether its message was built without a look-up that its endpoint would have wanted."""
    return (
        judged.decision is not None
        and judged.decision.enrichment_outcome in (FLAG_OFF, NOT_IN_ROLLOUT)
        and wants_learning_time(judged.row, judged.route)
    )
