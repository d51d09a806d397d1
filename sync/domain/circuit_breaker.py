"""An endpoint's circuit breaker and the rest of its state: pure rules on one row.

Closed: the endpoint gets everything. Open: nothing until the next probe. Half-open: a few webhooks,
and one failure opens it again. Webhooks that wait for it are not attempted and not charged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sync.domain.work import Attempt

TRIP_IN_A_ROW = 5
"""Failures in a row that open the circuit breaker: immediately in the run, then in the ledger."""
TRIP_ATTEMPTS = 10
TRIP_SHARE = 0.5
"""Or this share of failures among at least ``TRIP_ATTEMPTS`` attempts within ``WINDOW``."""
WINDOW = timedelta(minutes=1)
CLOSE_AFTER = 3
"""Successes while half-open that close it."""
FIRST_OPEN = timedelta(seconds=30)
LONGEST_OPEN = timedelta(minutes=10)
DISABLE_AFTER = timedelta(days=5)
"""Time of failures without a success: nobody is fixing the endpoint, and each webhook would become
a dead letter. Disabled, the endpoint keeps them until someone has fixed it."""
CHECK_AGAIN_AFTER = timedelta(hours=1)
"""A target that the address rules refused is checked again after this time, or once the endpoint's
settings have changed: its owner may have fixed the DNS entry."""
FAILING_TOO_LONG = "failing_for_5_days"
SLOWEST = 1 / 16
"""However often an endpoint reports overload, it keeps this share of its rate."""


class Breaker(StrEnum):
    """Whether an endpoint gets webhooks."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, kw_only=True)
class EndpointState:
    """The ledger's state of an endpoint; times are naive UTC."""

    endpoint_id: int
    version: int = 0
    """Raised by each write; a write against an older version does nothing and is retried."""
    breaker_state: Breaker = Breaker.CLOSED
    consecutive_failures: int = 0
    failing_since: datetime | None = None
    window_started_at: datetime | None = None
    window_attempts: int = 0
    window_failures: int = 0
    open_count: int = 0
    """How often it opened in a row without closing in between."""
    half_open_successes: int = 0
    next_probe_at: datetime | None = None
    rate_factor: float = 1.0
    """Share of its rate that it gets: halved when it reports overload, doubled otherwise."""
    next_slot_at: datetime | None = None
    """When the next request may start, as ``sync.domain.pacing`` counts."""
    paused_until: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    disabled_by: str | None = None
    """The operator who disabled it; None where a 410 or five days of failures did."""
    refused_target: str | None = None
    """Fingerprint of the settings under which the address rules refused its target."""
    refused_at: datetime | None = None

    def is_refused(self, target: str, now: datetime) -> bool:
        """Whether a target with this fingerprint was refused less than an hour ago."""
        return (
            self.refused_target == target
            and self.refused_at is not None
            and now < self.refused_at + CHECK_AGAIN_AFTER
        )

    @property
    def is_failing(self) -> bool:
        """Whether its last response was a failure, or its circuit breaker has not closed since."""
        return self.consecutive_failures > 0 or self.breaker_state is not Breaker.CLOSED

    def is_blocked_at(self, now: datetime) -> bool:
        """Whether the endpoint gets nothing at this time."""
        if self.disabled_at is not None:
            return True
        if self.paused_until is not None and self.paused_until > now:
            return True
        return (
            self.breaker_state is Breaker.OPEN
            and self.next_probe_at is not None
            and self.next_probe_at > now
        )


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one batch saw of an endpoint, in the order in which the attempts ended."""

    attempts: int
    failures: int
    trailing_failures: int
    """Failures after the last success, or all failures if there was no success."""
    first_trailing_failure_at: datetime | None = None
    is_overloaded: bool = False
    paused_until: datetime | None = None
    disabled_reason: str | None = None

    @property
    def has_succeeded(self) -> bool:
        """Whether any attempt succeeded."""
        return self.attempts > self.failures


def resumed(state: EndpointState, at: datetime | None) -> EndpointState:
    """The state of an endpoint whose last pause ended at ``at``. It did not fail while it was
    paused, so earlier failures count as failing from then on."""
    if at is None or state.failing_since is None or state.failing_since >= at:
        return state
    return replace(state, failing_since=at)


def seen_by_endpoint(attempts: Iterable[Attempt]) -> dict[int, Seen]:
    """What a batch saw, by endpoint. Sender errors are not evidence about an endpoint."""
    by_endpoint: dict[int, list[Attempt]] = {}
    for one in sorted(attempts, key=lambda one: one.finished_at):
        if one.follow_up.is_success or one.follow_up.is_failure:
            by_endpoint.setdefault(one.claim.endpoint_id, []).append(one)
    return {key: _seen(made) for key, made in by_endpoint.items()}


def _seen(attempts: Sequence[Attempt]) -> Seen:
    successes = [n for n, one in enumerate(attempts) if one.follow_up.is_success]
    trailing = attempts[successes[-1] + 1 :] if successes else attempts
    after = [one.follow_up for one in attempts]
    return Seen(
        attempts=len(attempts),
        failures=len(attempts) - len(successes),
        trailing_failures=len(trailing),
        first_trailing_failure_at=trailing[0].finished_at if trailing else None,
        is_overloaded=any(one.is_overloaded for one in after),
        paused_until=max((one.pause_until for one in after if one.pause_until), default=None),
        disabled_reason=next((one.reason for one in after if one.is_endpoint_gone), None),
    )


def after_batch(state: EndpointState, seen: Seen, now: datetime) -> EndpointState:
    """The state that follows a batch."""
    is_new_window = state.window_started_at is None or now - state.window_started_at >= WINDOW
    if seen.trailing_failures == 0:
        failing_since = None
    elif seen.has_succeeded:
        failing_since = seen.first_trailing_failure_at
    else:
        failing_since = state.failing_since or seen.first_trailing_failure_at
    in_a_row = (0 if seen.has_succeeded else state.consecutive_failures) + seen.trailing_failures
    fails_too_long = (
        in_a_row >= TRIP_IN_A_ROW
        and failing_since is not None
        and now - failing_since >= DISABLE_AFTER
    )
    disabled_reason = seen.disabled_reason or (FAILING_TOO_LONG if fails_too_long else None)
    counted = replace(
        state,
        consecutive_failures=in_a_row,
        failing_since=failing_since,
        window_started_at=now if is_new_window else state.window_started_at,
        window_attempts=(0 if is_new_window else state.window_attempts) + seen.attempts,
        window_failures=(0 if is_new_window else state.window_failures) + seen.failures,
        rate_factor=_rate_factor(state, seen),
        paused_until=_latest(state.paused_until, seen.paused_until),
        disabled_at=state.disabled_at or (now if disabled_reason else None),
        disabled_reason=state.disabled_reason or disabled_reason,
    )
    return _move(counted, seen, now)


def _move(state: EndpointState, seen: Seen, now: datetime) -> EndpointState:
    match state.breaker_state:
        case Breaker.CLOSED if _trips(state):
            return _open(state, now)
        case Breaker.CLOSED:
            return state
        case Breaker.OPEN | Breaker.HALF_OPEN if seen.trailing_failures:
            return _open(state, now)
        case Breaker.OPEN | Breaker.HALF_OPEN:
            successes = state.half_open_successes + seen.attempts
            if successes >= CLOSE_AFTER:
                return replace(
                    state,
                    breaker_state=Breaker.CLOSED,
                    open_count=0,
                    half_open_successes=0,
                    next_probe_at=None,
                    window_started_at=None,
                )
            return replace(
                state,
                breaker_state=Breaker.HALF_OPEN,
                half_open_successes=successes,
                next_probe_at=None,
            )


def _trips(state: EndpointState) -> bool:
    return state.consecutive_failures >= TRIP_IN_A_ROW or (
        state.window_attempts >= TRIP_ATTEMPTS
        and state.window_failures >= TRIP_SHARE * state.window_attempts
    )


def _open(state: EndpointState, now: datetime) -> EndpointState:
    span = min(FIRST_OPEN * 2**state.open_count, LONGEST_OPEN)
    return replace(
        state,
        breaker_state=Breaker.OPEN,
        open_count=min(state.open_count + 1, 10),
        half_open_successes=0,
        next_probe_at=now + span,
    )


def _rate_factor(state: EndpointState, seen: Seen) -> float:
    if seen.is_overloaded:
        return max(SLOWEST, state.rate_factor / 2)
    return min(1.0, state.rate_factor * 2) if seen.has_succeeded else state.rate_factor


def _latest(first: datetime | None, second: datetime | None) -> datetime | None:
    return max((one for one in (first, second) if one is not None), default=None)
