"""What follows an attempt: pure rules from result, attempt number and time to the next state.

The table is in ``docs/delivery.md``. Nothing here uses a warehouse or a socket, and the jitter is
derived from the webhook id and the attempt, so a decision can be reproduced and explained.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached, Response
from sync.domain.retry_after import parse_retry_after
from sync.domain.states import Reason, State

STEPS = tuple(timedelta(seconds=one) for one in (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000))
"""Wait before each attempt: 8 attempts in 27 h 35 min 5 s."""
LONGEST_WAIT = max(STEPS)
"""The longest wait that a ``Retry-After`` header can request."""
JITTER = 0.2
"""Share of a step by which an attempt may move; it spreads a burst but keeps the schedule."""
SENDER_ERROR_DELAY = timedelta(seconds=30)
"""Wait after a sender error: short, but not so short that an outage causes a busy loop."""


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """Everything that follows an attempt, for its webhook and for its endpoint."""

    state: State
    """The webhook's state. Pending: try again. Held: nothing was sent, and nothing can be until the
    cause is fixed, so it does not count as an attempt."""
    reason: Reason | None = None
    """Why it is dead or held."""
    next_attempt_at: datetime | None = None
    """Earliest time of the next attempt; set if and only if there is one."""
    is_charged: bool = True
    """Whether the attempt counts for the schedule."""
    error_kind: ErrorKind | None = None
    """None if and only if delivered."""
    attribution: Attribution | None = None
    """None if and only if delivered."""
    is_overloaded: bool = False
    """Whether the endpoint reported overload, so its rate is halved."""
    pause_until: datetime | None = None
    """The endpoint gets nothing before this time."""
    is_retry_after_unreadable: bool = False
    """The response had an unreadable ``Retry-After`` header: it was ignored, and is logged."""

    @property
    def is_success(self) -> bool:
        """Whether it shows that the endpoint is healthy."""
        return self.state is State.DELIVERED

    @property
    def is_failure(self) -> bool:
        """Whether it shows that the endpoint is failing; a sender error shows neither."""
        return self.is_charged and not self.is_success

    @property
    def is_endpoint_gone(self) -> bool:
        """Whether the endpoint gets nothing until an operator enables it again."""
        return self.reason is Reason.ENDPOINT_GONE


def follow_up(
    result: Response | Failure,
    *,
    webhook_id: str,
    attempt_number: int,
    now: datetime,
    success_statuses: frozenset[int] = frozenset(),
    final_statuses: frozenset[int] = frozenset(),
) -> FollowUp:
    """What follows a result. ``attempt_number`` counts charged attempts from 1, this one included.

    ``now`` is when the attempt ended, with or without a zone; times in the result are the same.
    ``success_statuses`` mean the same as a 2xx: the receiver has the event. After
    ``final_statuses`` the endpoint wants no retry.
    """
    schedule = _Schedule(webhook_id, attempt_number, now)
    if isinstance(result, Failure):
        return _after_failure(result, schedule)
    if result.is_success(success_statuses):
        return FollowUp(state=State.DELIVERED)
    if result.status == 410:
        return _dead(Reason.ENDPOINT_GONE, ErrorKind.HTTP)
    if result.status in final_statuses:
        return _dead(Reason.FINAL_STATUS, ErrorKind.HTTP)
    return _after_bad_status(result, schedule)


def after_sender_error(
    error_kind: ErrorKind | None, *, webhook_id: str, attempt_number: int, now: datetime
) -> FollowUp:
    """What follows a sender error: a retry soon, with nothing charged."""
    return _Schedule(webhook_id, attempt_number, now).soon(error_kind)


def _after_failure(failure: Failure, schedule: _Schedule) -> FollowUp:
    if failure.error_kind is ErrorKind.INVALID_TARGET:
        return _held(Reason.INVALID_TARGET, failure)
    if failure.reached is Reached.NOT_CONFIGURED:
        return _held(Reason.OAUTH_INCOMPLETE, failure)
    if failure.attribution is Attribution.SENDER:
        return schedule.soon(failure.error_kind)
    return schedule.next_attempt(failure.error_kind)


def _after_bad_status(response: Response, schedule: _Schedule) -> FollowUp:
    hint, is_unreadable = None, False
    if response.retry_after is not None:
        hint = parse_retry_after(response.retry_after, now=schedule.now)
        is_unreadable = hint is None
    pause = None if hint is None else schedule.now + min(hint, LONGEST_WAIT)
    is_overloaded = response.status in (429, 502, 504)
    kind = ErrorKind.REDIRECT if 300 <= response.status <= 399 else ErrorKind.HTTP
    return replace(
        schedule.next_attempt(kind, hint),
        is_overloaded=is_overloaded,
        pause_until=pause if is_overloaded or response.status == 503 else None,
        is_retry_after_unreadable=is_unreadable,
    )


def _held(reason: Reason, failure: Failure) -> FollowUp:
    return FollowUp(
        state=State.HELD,
        reason=reason,
        is_charged=False,
        error_kind=failure.error_kind,
        attribution=failure.attribution,
    )


def _dead(reason: Reason, error_kind: ErrorKind) -> FollowUp:
    return FollowUp(
        state=State.DEAD, reason=reason, error_kind=error_kind, attribution=Attribution.RECEIVER
    )


@dataclass(frozen=True)
class _Schedule:
    """The attempt schedule of one webhook."""

    webhook_id: str
    attempt_number: int
    now: datetime

    def next_attempt(self, error_kind: ErrorKind, hint: timedelta | None = None) -> FollowUp:
        """The step, moved by jitter; never before the hint, to which jitter only adds."""
        if self.attempt_number >= len(STEPS):
            return _dead(Reason.ATTEMPTS_EXHAUSTED, error_kind)
        chance = self._chance()
        wait = STEPS[self.attempt_number] * (1 + JITTER * (2 * chance - 1))
        if hint is not None:
            wait = max(wait, min(hint, LONGEST_WAIT) * (1 + JITTER * chance))
        return FollowUp(
            state=State.PENDING,
            next_attempt_at=self.now + wait,
            error_kind=error_kind,
            attribution=Attribution.RECEIVER,
        )

    def soon(self, error_kind: ErrorKind | None) -> FollowUp:
        return FollowUp(
            state=State.PENDING,
            next_attempt_at=self.now + SENDER_ERROR_DELAY * (1 + JITTER * self._chance()),
            is_charged=False,
            error_kind=error_kind,
            attribution=Attribution.SENDER,
        )

    def _chance(self) -> float:
        """A number in [0, 1) that is always the same for this attempt of this webhook."""
        seed = hashlib.sha256(f"{self.webhook_id}:{self.attempt_number}".encode()).digest()
        return (int.from_bytes(seed[:8], "big") >> 11) / 2**53
