"""How many requests an endpoint may get and when: at most its limit in any minute, over all runs.

The state is one time, ``next_slot_at``: requests occupy slots of equal length on a timeline that
all runs share through the ledger (the generic cell rate algorithm of ATM networks). Unused slots of
the last ``BURST`` may be taken at once. Slots are slightly longer than a minute divided by the
limit, so a burst and the requests after it stay within the limit in any minute.
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
"""How far ahead a run takes slots; more would keep them from other runs that could use them."""
HALF_OPEN_SLOTS = 2
"""Slots that an endpoint gets per batch while its circuit breaker is half-open."""


@dataclass(frozen=True)
class Grant:
    """``count`` slots, ``spacing`` apart; the first, at ``first_at``, may be in the past."""

    endpoint_id: int
    count: int
    first_at: datetime
    spacing: timedelta


@dataclass
class Pace:
    """Spends a grant by the clock: a delayed request forfeits its old slot.

    Otherwise an endpoint that hung for a while would get all delayed requests at once.
    """

    spacing: timedelta
    next_slot_at: datetime

    def wait(self, now: datetime) -> timedelta:
        """How long until the next request may start; 0 when it may start now."""
        return max(self.next_slot_at - now, timedelta(0))

    def take(self, now: datetime) -> None:
        """Use a slot for a request that starts now."""
        self.next_slot_at = max(self.next_slot_at, now - BURST) + self.spacing


def spacing_of(requests_per_minute: int, rate_factor: float) -> timedelta:
    """Length of a slot, rounded up: a microsecond too short would let an extra request through."""
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
    """Take up to ``wanted`` slots for a run; returns the grant, possibly of 0, and the new state.

    The single slot of an open circuit breaker is its probe; no other run gets one before
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
