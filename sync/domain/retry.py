"""What follows an attempt: pure rules from result, attempt number and clock to the next state.

The table is in ``docs/delivery.md``. Nothing here knows a warehouse or a socket, and the jitter
comes from the webhook id and the attempt, so a decision can be repeated and explained.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached, Response
from sync.domain.retry_after import parse_retry_after
from sync.domain.states import Reason

JITTER = 0.2
"""Share of a step by which an attempt may move; it spreads a burst, and keeps the schedule."""
OWN_FAULT_DELAY = timedelta(seconds=30)
"""After a fault of ours: soon, but not so soon that an outage becomes a busy loop."""


def _steps(*seconds: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=step) for step in seconds)


STANDARD_STEPS = _steps(0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""Wait before each attempt: 8 attempts in 27 h 35 min 5 s."""
LONG_STEPS = _steps(0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""10 attempts in 75 h 35 min 5 s, for receivers that may be down over a weekend."""


class Jitter(StrEnum):
    """How attempts are spread around their step."""

    PROPORTIONAL = "proportional"
    """±20 % of the step."""
    FULL = "full"
    """Anywhere from now to the step, for draining an endpoint that has just come back."""


@dataclass(frozen=True)
class RetryPolicy:
    """When to try again, and which statuses end it at once."""

    steps: tuple[timedelta, ...] = STANDARD_STEPS
    jitter: Jitter = Jitter.PROPORTIONAL
    final_statuses: frozenset[int] = frozenset()

    @property
    def cap(self) -> timedelta:
        """The longest wait that a ``Retry-After`` header can ask for."""
        return max(self.steps)


@dataclass(frozen=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True)
class RetryAt:
    """Try again, not before ``at``. Uncharged: this attempt does not count for the schedule."""

    at: datetime
    charged: bool


@dataclass(frozen=True)
class Dead:
    """No further attempt but by an operator's replay."""

    reason: Reason


@dataclass(frozen=True)
class Held:
    """Nothing was sent, and nothing can be until the cause has been removed: no attempt at all."""

    reason: Reason


Outcome = Delivered | RetryAt | Dead | Held


@dataclass(frozen=True)
class NoEffect:
    """The endpoint goes on as before."""


@dataclass(frozen=True)
class SlowDown:
    """Halve the endpoint's rate; and send it nothing before ``until``, if given."""

    until: datetime | None


@dataclass(frozen=True)
class PauseUntil:
    """Send the endpoint nothing before ``at``."""

    at: datetime


@dataclass(frozen=True)
class Disable:
    """Send the endpoint nothing until a person enables it again; hold its other rows."""

    reason: Reason


Effect = NoEffect | SlowDown | PauseUntil | Disable


class Signal(StrEnum):
    """What the attempt says about the endpoint's health."""

    SUCCESS = "success"
    FAILURE = "failure"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Decision:
    """Everything that follows an attempt."""

    outcome: Outcome
    effect: Effect
    signal: Signal
    error_kind: ErrorKind | None
    """None exactly when delivered."""
    attribution: Attribution | None
    """None exactly when delivered."""
    is_retry_after_unreadable: bool = False
    """A ``Retry-After`` header came that means nothing; it was ignored and deserves a log line."""


def decide(
    result: Response | Failure,
    *,
    webhook_id: str,
    attempt_number: int,
    now: datetime,
    policy: RetryPolicy,
) -> Decision:
    """Judge one attempt. ``attempt_number`` counts charged attempts from 1, this one included.

    ``now`` is when the attempt ended, with or without a zone; moments in the decision are alike.
    """
    schedule = _Schedule(webhook_id, attempt_number, now, policy)
    if isinstance(result, Failure):
        return _after_failure(result, schedule)
    if 200 <= result.status <= 299:
        return Decision(Delivered(), NoEffect(), Signal.SUCCESS, None, None)
    if result.status == 410:
        gone = Reason.ENDPOINT_GONE
        return _theirs(Dead(gone), Disable(gone), ErrorKind.HTTP)
    if result.status in policy.final_statuses:
        return _theirs(Dead(Reason.FINAL_STATUS), NoEffect(), ErrorKind.HTTP)
    return _after_bad_status(result, schedule)


def own_fault(*, webhook_id: str, attempt_number: int, now: datetime) -> RetryAt:
    """What follows a fault of ours: another try soon, and nothing charged."""
    return _Schedule(webhook_id, attempt_number, now, RetryPolicy()).soon()


def _after_failure(failure: Failure, schedule: _Schedule) -> Decision:
    if failure.error_kind is ErrorKind.INVALID_TARGET:
        outcome, signal = Held(Reason.INVALID_TARGET), Signal.NOTHING
    elif failure.reached is Reached.NOT_CONFIGURED:
        outcome, signal = Held(Reason.OAUTH_INCOMPLETE), Signal.NOTHING
    elif failure.attribution is Attribution.SENDER:
        outcome, signal = schedule.soon(), Signal.NOTHING
    else:
        outcome, signal = schedule.next_attempt(None), Signal.FAILURE
    return Decision(outcome, NoEffect(), signal, failure.error_kind, failure.attribution)


def _after_bad_status(answer: Response, schedule: _Schedule) -> Decision:
    hint, is_unreadable = None, False
    if answer.retry_after is not None:
        hint = parse_retry_after(answer.retry_after, now=schedule.now)
        is_unreadable = hint is None
    pause = None if hint is None else schedule.now + min(hint, schedule.policy.cap)
    effect: Effect = NoEffect()
    if answer.status in (429, 502, 504):
        effect = SlowDown(pause)
    elif answer.status == 503 and pause is not None:
        effect = PauseUntil(pause)
    kind = ErrorKind.REDIRECT if 300 <= answer.status <= 399 else ErrorKind.HTTP
    return _theirs(schedule.next_attempt(hint), effect, kind, is_unreadable=is_unreadable)


def _theirs(
    outcome: Outcome, effect: Effect, kind: ErrorKind, *, is_unreadable: bool = False
) -> Decision:
    return Decision(outcome, effect, Signal.FAILURE, kind, Attribution.RECEIVER, is_unreadable)


@dataclass(frozen=True)
class _Schedule:
    """Times of the attempts of one webhook."""

    webhook_id: str
    attempt_number: int
    now: datetime
    policy: RetryPolicy

    def next_attempt(self, hint: timedelta | None) -> RetryAt | Dead:
        """The step, moved by jitter; never before the hint, on which jitter only adds."""
        if self.attempt_number >= len(self.policy.steps):
            return Dead(Reason.ATTEMPTS_EXHAUSTED)
        step = self.policy.steps[self.attempt_number]
        chance = self._chance()
        if self.policy.jitter is Jitter.FULL:
            wait = step * chance
        else:
            wait = step * (1 + JITTER * (2 * chance - 1))
        if hint is not None:
            wait = max(wait, min(hint, self.policy.cap) * (1 + JITTER * chance))
        return RetryAt(self.now + wait, charged=True)

    def soon(self) -> RetryAt:
        return RetryAt(self.now + OWN_FAULT_DELAY * (1 + JITTER * self._chance()), charged=False)

    def _chance(self) -> float:
        """A number in [0, 1), the same whenever this attempt of this webhook is judged."""
        seed = hashlib.sha256(f"{self.webhook_id}:{self.attempt_number}".encode()).digest()
        return (int.from_bytes(seed[:8], "big") >> 11) / 2**53
