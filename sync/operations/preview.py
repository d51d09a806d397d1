"""What would be sent now, decided by the code that decides it, over a session that cannot write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sync.clock import Clock
from sync.delivery.build import PAGE, EnrichmentPolicy, FreezeReport, Judged, judge
from sync.delivery.endpoints import load_endpoints, unusable_endpoints
from sync.delivery.learning_time import LearningTimeClient, NotYet, Unavailable
from sync.delivery.record import DEFAULT_MASS_SEND_LIMIT, Enqueued, HeldBack, plan_enqueue
from sync.domain.destination import NotReady, Ready
from sync.domain.endpoint import Endpoint
from sync.domain.event_types import COMPLETIONS, EventType
from sync.domain.routing import Routed
from sync.domain.states import Reason, State
from sync.ledger.activation import recorded_activation
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.outbox import Unfrozen
from sync.operations.preview_report import (
    FROZEN_SHOWN,
    HELD_BACK,
    HELD_BACK_SHOWN,
    Origin,
    Planned,
    Preview,
    Verdict,
)
from sync.operations.preview_rows import ReadOnly, frozen_rows, new_rows, undecided_rows
from sync.warehouse import RelationMissing, Warehouse

ReadinessOf = Callable[[Endpoint], Ready | NotReady]


def preview(
    warehouse: Warehouse,
    *,
    policy: EnrichmentPolicy,
    clock: Clock,
    readiness_of: ReadinessOf,
    sources: Sequence[EventType] = (COMPLETIONS,),
    activated_at: datetime | None = None,
    mass_send_limit: int = DEFAULT_MASS_SEND_LIMIT,
) -> Preview:
    """Decide every undecided completion as the next run would, and write nothing.

    ``readiness_of`` looks at an endpoint as ``Destination.readiness`` does. ``sources`` are
    those that a run would look for new events in; ``activated_at`` is for completions and counts
    before the first run only, as it does for ``enqueue``. Of new events beyond the limit, which no
    run would record, only the first are read.

    Raises:
        RelationMissing: the ledger or a mart does not exist yet; says what creates it.
        StatementFailed: the warehouse refused.
    """
    session = ReadOnly(warehouse)
    try:
        since = recorded_activation(session)
    except RelationMissing as error:
        raise RelationMissing(
            "the ledger does not exist yet, and a preview does not create it: run "
            "`learning-time-webhooks status` once"
        ) from error
    work = _Preview(session, policy, clock, readiness_of)
    planned, old, held_back = [], 0, 0
    for source in sources:
        found = plan_enqueue(
            session,
            clock=clock,
            source=source,
            activated_at=activated_at if source is COMPLETIONS else None,
            mass_send_limit=mass_send_limit,
        )
        match found:
            case Enqueued(suppressed=suppressed):
                old += suppressed
                limit, wait_for = mass_send_limit, None
            case HeldBack(found=count):
                held_back += count
                limit, wait_for = HELD_BACK_SHOWN, HELD_BACK
        new = new_rows(session, source, since=found.activated_at, now=clock(), limit=limit)
        planned += work.decide(new, origin="new", wait_for=wait_for)
    recorded = undecided_rows(session)
    awaiting = [row for row in recorded if row.state is State.AWAITING]
    planned += work.decide(awaiting, origin="recorded")
    # A pending one among them has a message that is built again.
    planned += work.decide(
        [row for row in recorded if row.state is not State.AWAITING], origin="held"
    )
    due, frozen = work.frozen()
    return Preview(
        planned=[*planned, *frozen],
        due_frozen=due,
        before_activation=old,
        is_activated=since is not None,
        held_back=held_back,
        mass_send_limit=mass_send_limit,
        problems=work.report.problems,
    )


class _Preview:
    """What all rows of one preview are judged with."""

    def __init__(
        self, session: ReadOnly, policy: EnrichmentPolicy, clock: Clock, readiness_of: ReadinessOf
    ) -> None:
        self._session = session
        self._policy = policy
        self._clock = clock
        self._readiness_of = readiness_of
        self._endpoints = load_endpoints(session)
        self._client = LearningTimeClient(session)
        self._states = EndpointStates(session).load(self._endpoints.by_id)
        self._unusable: dict[int, str | None] = {}
        self.report = FreezeReport()

    def decide(
        self, rows: Sequence[Unfrozen], *, origin: Origin, wait_for: str | None = None
    ) -> list[Planned]:
        planned = []
        for start in range(0, len(rows), PAGE):
            judged = judge(
                rows[start : start + PAGE],
                endpoints=self._endpoints,
                client=self._client,
                policy=self._policy,
                clock=self._clock,
                report=self.report,
            )
            planned += [self._planned(one, origin, wait_for) for one in judged]
        return planned

    def frozen(self) -> tuple[int, list[Planned]]:
        """How many frozen messages are due, and the first of them."""
        due, rows = frozen_rows(self._session, now=self._clock(), limit=FROZEN_SHOWN)
        planned = []
        for row in rows:
            endpoint_id = int(row["endpoint_id"])
            verdict, reason = self._at_endpoint(endpoint_id)
            if row["is_gone"]:
                verdict, reason = "hold", Reason.NO_LONGER_REPORTABLE
            seconds = row["learning_time_seconds"]
            planned.append(
                Planned(
                    webhook_id=row["webhook_id"],
                    origin="frozen",
                    event_type=row["event_type"],
                    enterprise_customer_uuid=row["enterprise_customer_uuid"],
                    courserun_key=row["courserun_key"],
                    verdict=verdict,
                    reason=reason,
                    region=row["region"],
                    endpoint_id=endpoint_id,
                    payload_format=row["payload_format"],
                    enrichment_outcome=row["enrichment_outcome"],
                    learning_time_seconds=None if seconds is None else int(seconds),
                    is_replay=row["replay_id"] is not None,
                    body=row["body"].encode("utf-8"),
                )
            )
        return due, planned

    def _planned(self, judged: Judged, origin: Origin, wait_for: str | None) -> Planned:
        row, decision = judged.row, judged.decision
        verdict: Verdict
        if wait_for is not None:
            verdict, reason = "wait", wait_for
        elif decision is None:
            verdict, reason = "wait", _why_waiting(judged)
        elif decision.state is State.PENDING and decision.endpoint_id is not None:
            verdict, reason = self._at_endpoint(decision.endpoint_id)
        else:
            verdict = "hold" if decision.state is State.HELD else "suppress"
            reason = decision.state_reason
        endpoint = judged.route.endpoint if isinstance(judged.route, Routed) else None
        return Planned(
            webhook_id=row.webhook_id,
            origin=origin,
            event_type=row.event_type,
            enterprise_customer_uuid=row.enterprise_customer_uuid,
            courserun_key=row.courserun_key,
            verdict=verdict,
            reason=reason,
            region=judged.route.region,
            endpoint_id=endpoint.endpoint_id if endpoint else None,
            payload_format=endpoint.payload_format if endpoint else None,
            enrichment_outcome=decision.enrichment_outcome if decision else None,
            learning_time_seconds=decision.learning_time_seconds if decision else None,
            body=decision.body if decision else None,
        )

    def _at_endpoint(self, endpoint_id: int) -> tuple[Verdict, str | None]:
        """What a frozen message for this endpoint meets."""
        hold = self._hold_reason(endpoint_id)
        if hold is not None:
            return "hold", hold
        state = self._states.get(endpoint_id)
        if state is not None and state.is_blocked_at(self._clock()):
            return "wait", "endpoint_rests"
        return "send", None

    def _hold_reason(self, endpoint_id: int) -> str | None:
        """Why the endpoint cannot be sent to; looked up once for each."""
        if endpoint_id not in self._unusable:
            disabled = [key for key, one in self._states.items() if one.disabled_at is not None]
            found = unusable_endpoints(
                [endpoint_id],
                configured=self._endpoints.by_id,
                disabled=disabled,
                problem_of=self._problem_of,
            )
            self._unusable[endpoint_id] = found.get(endpoint_id)
        return self._unusable[endpoint_id]

    def _problem_of(self, endpoint: Endpoint) -> Reason | None:
        found = self._readiness_of(endpoint)
        if isinstance(found, Ready):
            return None
        self.report.problems[f"endpoint {endpoint.endpoint_id}: {found.problem}"] += 1
        return found.reason


def _why_waiting(judged: Judged) -> str:
    match judged.learning_time:
        case NotYet():
            return "learning_time_not_yet"
        case Unavailable():
            return "learning_time_unavailable"
        case _:
            return "learning_time"
