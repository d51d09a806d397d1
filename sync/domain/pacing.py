"""How many requests an endpoint may get and when: at most its limit in any minute, whoever sends.

The state is one time, ``next_slot_at``: requests occupy slots of equal length on a time line
that all runs share through the ledger (the generic cell rate algorithm of ATM networks). Slots
of the last ``BURST`` that nobody used may be taken at once. Slots are a little longer than limit
and minute say, so that a burst and what follows it stay within the limit in any minute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync.domain.circuit_breaker import Breaker, EndpointState

MINUTE = timedelta(minutes=1)
BURST = timedelta(seconds=10)
MICROSECOND = timedelta(microseconds=1)
HORIZON = timedelta(seconds=30)
"""How far ahead a run takes slots; further would keep them from a run that could use them."""
HALF_OPEN_SLOTS = 2
"""What an endpoint gets per batch while its circuit breaker is half-open."""


@dataclass(frozen=True)
class Grant:
    """``count`` slots one ``spacing`` apart; the first, at ``first_at``, may have passed."""

    endpoint_id: int
    count: int
    first_at: datetime
    spacing: timedelta


@dataclass
class Pace:
    """Spends a grant by the clock: a request that was held up forfeits its old slot.

    Otherwise an endpoint that hung for a while would get all that was held up at once.
    """

    spacing: timedelta
    next_slot_at: datetime

    def wait(self, now: datetime) -> timedelta:
        """How long until the next request may start; 0 when it may now."""
        return max(self.next_slot_at - now, timedelta(0))

    def take(self, now: datetime) -> None:
        """A request starts now."""
        self.next_slot_at = max(self.next_slot_at, now - BURST) + self.spacing


def spacing_of(requests_per_minute: int, rate_factor: float) -> timedelta:
    """Length of a slot; rounded up, for a microsecond too short lets one too many through."""
    slots = max(1, requests_per_minute) * rate_factor
    return timedelta(microseconds=math.ceil((MINUTE + BURST) / MICROSECOND / slots))


def grant(
    state: EndpointState,
    *,
    requests_per_minute: int,
    wanted: int,
    now: datetime,
    probe_until: datetime,
) -> tuple[Grant, EndpointState]:
    """Take up to ``wanted`` slots for a run; the grant may be of none, and the state after it.

    The one slot of an open circuit breaker is its probe; no other run gets one before
    ``probe_until``.
    """
    spacing = spacing_of(requests_per_minute, state.rate_factor)
    first_at = max(state.next_slot_at or now - BURST, now - BURST)
    if state.is_blocked_at(now):
        return Grant(state.endpoint_id, 0, first_at, spacing), state
    ahead = now + HORIZON - first_at
    within = ahead // spacing + 1 if ahead >= timedelta(0) else 0
    match state.breaker_state:
        case Breaker.CLOSED:
            allowed = wanted
        case Breaker.OPEN:
            allowed = 1
        case Breaker.HALF_OPEN:
            allowed = HALF_OPEN_SLOTS
    count = min(wanted, allowed, within)
    taken = replace(state, next_slot_at=first_at + count * spacing) if count else state
    if count and state.breaker_state is Breaker.OPEN:
        taken = replace(taken, next_probe_at=probe_until)
    return Grant(state.endpoint_id, count, first_at, spacing), taken
