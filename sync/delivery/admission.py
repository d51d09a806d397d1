"""Whether the next request of an endpoint may start: its rate, its health, and the lease."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.clock import Clock
from sync.delivery.bulkheads import Standing
from sync.delivery.faults import proves_network
from sync.delivery.stop import Stop
from sync.domain.circuit_breaker import EndpointState
from sync.domain.endpoint import Endpoint
from sync.domain.pacing import Grant, Pace
from sync.domain.retry import Disable, Held, NoEffect, PauseUntil, Signal, SlowDown
from sync.ledger.attempts import Attempt
from sync.ledger.claims import Batch, Claimed

LEASE_MARGIN = timedelta(seconds=30)
"""Room between the last start of a send and the end of the lease, beyond the send's deadline.

A token may have to be fetched first, for which an attempt has 10 s more; and the answer may wait
for the ledger, 15 s by ``pipeline.RECORD_AFTER_SECONDS``.
"""
REST_AFTER = 5
"""Failures in a row after which an endpoint rests, before the ledger knows of them."""


@dataclass(kw_only=True)
class Flight:
    """One claimed batch on its way."""

    number: int
    """How often results had been taken for the ledger when it was claimed."""
    grants: Mapping[int, Grant]
    lease_end: float
    """By the monotonic clock."""
    waiting: int
    """Rows of it that have not started."""
    leaves_more: bool
    """Whether more rows could be claimed at once than it took."""


@dataclass(frozen=True)
class Row:
    """A claimed row, and the flight under whose grants and lease it goes."""

    claimed: Claimed
    flight: Flight


class Admission:
    """What a run knows of its endpoints before the ledger does. Not thread safe."""

    def __init__(
        self,
        endpoints: Mapping[int, Endpoint],
        states: Iterable[EndpointState],
        clock: Clock,
        stop: Stop | None = None,
    ) -> None:
        """Once ``stop`` is asked for, nothing starts any more."""
        self._stop = stop or Stop()
        self._endpoints = endpoints
        self._clock = clock
        self._failures_in_a_row: Counter[int] = Counter()
        self._sender_errors: Counter[int] = Counter()
        """Sender errors in a row, by endpoint."""
        self._rested_at: dict[int, int] = {}
        """When an endpoint was last told to rest, counted as in ``Flight.number``."""
        self._resting_by: dict[int, Attempt] = {}
        """Attempts that made an endpoint rest and cannot be collected yet."""
        self._paces: dict[int, tuple[Grant, Pace]] = {}
        self._collected = 0
        self._latest: Flight | None = None
        self.standings = {
            one.endpoint_id: Standing.FAILING if one.is_failing else Standing.UNPROVEN
            for one in states
        }
        """How the endpoints stood by the ledger when the run began."""
        self.answers = 0
        """Answers that can be collected, since results were last taken for the ledger."""

    def collected(self) -> None:
        """All results so far are on their way to the ledger, which rules what is claimed next."""
        self._collected += 1
        self.answers = 0

    def board(self, batch: Batch, *, lease_end: float) -> list[Row]:
        """A claimed batch, ready to be sent."""
        self._latest = Flight(
            number=self._collected,
            grants=batch.grants,
            lease_end=lease_end,
            waiting=len(batch.rows),
            leaves_more=batch.leaves_more,
        )
        return [Row(claimed, self._latest) for claimed in batch.rows]

    def runs_short(self, batch_size: int) -> bool:
        """Whether it is time to claim more, so that the threads do not have to wait for it."""
        latest = self._latest
        return latest is not None and latest.leaves_more and latest.waiting <= batch_size // 2

    def may_start(self, row: Row) -> float | None:
        """Seconds until a row may start; None when its endpoint may not be sent to any more.

        0 counts as a start.
        """
        if self._stop.is_asked:
            return None
        endpoint_id, flight = row.claimed.endpoint_id, row.flight
        if endpoint_id in self._resting_by or self._rested_at.get(endpoint_id, -1) >= flight.number:
            return None
        deadline = self._endpoints[endpoint_id].timeout_seconds
        last_start = flight.lease_end - deadline - LEASE_MARGIN.total_seconds()
        now = self._clock()
        pace = self._pace(endpoint_id, flight.grants[endpoint_id])
        wait = pace.wait(now).total_seconds()
        if time.monotonic() + wait >= last_start:
            return None
        if wait == 0:
            pace.take(now)
            flight.waiting -= 1
        return wait

    def judge(self, attempt: Attempt) -> Standing | None:
        """What an attempt says of its endpoint, if anything."""
        endpoint_id = attempt.claimed.endpoint_id
        is_nothing = attempt.decision.signal is Signal.NOTHING
        errors = self._sender_errors[endpoint_id] + 1 if is_nothing else 0
        self._sender_errors[endpoint_id] = errors
        match attempt.decision.signal:
            case Signal.NOTHING:
                return None
            case Signal.SUCCESS:
                self._failures_in_a_row[endpoint_id] = 0
                return Standing.PROVEN
            case Signal.FAILURE:
                self._failures_in_a_row[endpoint_id] += 1
                return Standing.FAILING

    def must_rest(self, attempt: Attempt) -> bool:
        """Whether nothing of what this run holds may go to the endpoint after this attempt."""
        endpoint_id = attempt.claimed.endpoint_id
        is_resting = (
            self._failures_in_a_row[endpoint_id] >= REST_AFTER
            or self._sender_errors[endpoint_id] >= REST_AFTER
            or _stops(attempt)
        )
        if is_resting:
            self._resting_by[endpoint_id] = attempt
        return is_resting

    def fails_on_our_side(self, endpoint_id: int) -> bool:
        """Whether this run makes no more attempts, after several sender errors in a row."""
        return self._sender_errors[endpoint_id] >= REST_AFTER

    def arrive(self, attempt: Attempt) -> None:
        """An attempt that was judged can be collected: the ledger hears of it with the next."""
        endpoint_id = attempt.claimed.endpoint_id
        self.answers += int(proves_network(attempt))
        if self._resting_by.get(endpoint_id) is attempt:
            del self._resting_by[endpoint_id]
            self._rested_at[endpoint_id] = self._collected

    def next_slot_at(self, endpoint_id: int, known: datetime | None) -> datetime | None:
        """The later of what the ledger knows and what this run has really used."""
        pace = self._paces.get(endpoint_id)
        moments = [one for one in (known, pace and pace[1].next_slot_at) if one is not None]
        return max(moments, default=None)

    def _pace(self, endpoint_id: int, grant: Grant) -> Pace:
        """The pace under a grant; one that is late goes on under the next grant."""
        before = self._paces.get(endpoint_id)
        if before is not None and before[0] is grant:
            return before[1]
        first_at = grant.first_at
        if before is not None:
            first_at = max(first_at, before[1].next_slot_at)
        pace = Pace(grant.spacing, first_at)
        self._paces[endpoint_id] = grant, pace
        return pace


def _stops(attempt: Attempt) -> bool:
    """It cannot be sent to, is gone, or has named a time before which it wants nothing."""
    if isinstance(attempt.decision.outcome, Held):
        return True
    match attempt.decision.effect:
        case Disable() | PauseUntil():
            return True
        case SlowDown(until=until):
            return until is not None
        case NoEffect():
            return False
