"""Which claim is sent next, and when: threads, endpoint limits, circuit breakers and pacing.

The scheduler takes claims and returns attempts; it does not use the warehouse. Read ``_work``
first: it is all that a thread does.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from itertools import count

from sync.clock import Clock
from sync.delivery.stop import LOOK_SECONDS, Stop
from sync.domain.circuit_breaker import TRIP_IN_A_ROW, EndpointState
from sync.domain.endpoint import Endpoint
from sync.domain.pacing import Grant, Pace
from sync.domain.work import Attempt, Claim
from sync.ledger.claims import Batch

LEASE_MARGIN = timedelta(seconds=30)
"""Time between the last start of a request and the end of the lease, beyond the request's deadline.

A token may have to be fetched first, for which an attempt has another 10 s; and the attempt may
wait ``SETTLE_AFTER`` for the ledger.
"""
SETTLE_AFTER = timedelta(seconds=15)
"""Attempts wait at most this long for the ledger, however few they are. With the wait for a token
that is less than ``LEASE_MARGIN``, or a lease could end between a response and its record."""
THREADS_PER_UNWRITTEN = 2
"""One attempt per this many threads may wait for the disk while its slot is used again.

Most commits take a few milliseconds, in which few responses arrive, and one in a hundred takes
about ten; a slower disk holds up the slots. The more may wait, the more a crash can lose.
"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one run."""

    batch_size: int = 1_000
    threads: int = 32
    """Concurrent requests, to all endpoints together."""
    per_endpoint: int = 4
    lease: timedelta = timedelta(minutes=10)
    time_budget: timedelta = timedelta(minutes=4)
    linger: timedelta = timedelta(0)
    """How long to wait for a retry or a slot that is due soon, instead of ending the run."""

    @property
    def unwritten(self) -> int:
        """How many attempts may wait for the journal in addition to the running requests."""
        return max(2, self.threads // THREADS_PER_UNWRITTEN)


class Health(IntEnum):
    """What is known of an endpoint, which decides how many concurrent requests it gets."""

    FAILING = 0
    """Its last response was a failure, in this run or per the ledger: one request, and a quarter of
    the threads for all such endpoints together."""
    UNPROVEN = 1
    """No response yet: one request, and three quarters of the threads, shared with failing ones."""
    PROVEN = 2
    """Its last response in this run was a success: ``Limits.per_endpoint`` requests."""


@dataclass(eq=False)
class _Queue:
    """One endpoint's waiting claims, and what this run knows of it before the ledger does."""

    endpoint: Endpoint
    health: Health
    waiting: deque[tuple[Claim, Batch]] = field(default_factory=deque)
    running: int = 0
    is_listed: bool = False
    """Whether it is in a queue of turns, or waits for its next slot."""
    failures: int = 0
    """In a row."""
    sender_errors: int = 0
    """In a row."""
    opened_by: Attempt | None = None
    """The attempt that opened its circuit breaker: nothing starts until the ledger has it."""
    grant: Grant | None = None
    pace: Pace | None = None

    def pace_under(self, grant: Grant) -> Pace:
        """The pace under a grant; a pace that is behind continues under the next grant."""
        if self.pace is None or self.grant is not grant:
            first_at = max(grant.first_at, self.pace.next_slot_at) if self.pace else grant.first_at
            self.grant, self.pace = grant, Pace(grant.spacing, first_at)
        return self.pace


class Scheduler:
    """A pool of threads that sends claims; used as a context manager, it ends with its block.

    Endpoints take turns; the claims of one start in order, as many at a time as its ``Health``
    allows. So an endpoint that hangs fills only its own slots, and hanging endpoints cannot fill
    the pool, however many there are.

    An attempt counts once the journal has it. Its slot is free at the response, since there are
    ``Limits.unwritten`` more threads than slots, whose attempts can wait for the disk.

    An error in ``send`` or ``journal`` ends the run: ``wait`` raises it once all threads are done.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        states: Mapping[int, EndpointState],
        limits: Limits,
        *,
        send: Callable[[Claim], Attempt],
        journal: Callable[[Attempt], None],
        clock: Clock,
        stop: Stop | None = None,
    ) -> None:
        """Many threads call ``send`` and ``journal`` at once; ``journal`` returns when the attempt
        is on disk. ``states`` is the ledger's state of the endpoints."""
        self._limits = limits
        self._send = send
        self._journal = journal
        self._clock = clock
        self._stop = stop or Stop()
        self._lock = threading.Lock()
        self._can_start = threading.Condition(self._lock)
        self._progress = threading.Condition(self._lock)
        self._queues = {
            one.endpoint_id: _Queue(one, _health(states.get(one.endpoint_id))) for one in endpoints
        }
        self._turns: tuple[deque[_Queue], ...] = tuple(deque() for _ in Health)
        """Endpoints with a claim and a slot for it, by health."""
        self._later: list[tuple[datetime, int, _Queue]] = []
        """Endpoints whose next claim waits for its slot, by time."""
        self._serial = count()
        self._running = [0 for _ in Health]
        self._shares = (
            max(1, limits.threads // 4),
            max(1, 3 * limits.threads // 4),
            limits.threads,
        )
        """Slots for the endpoints of a health and those below it."""
        self._busy = 0
        """Threads with a claim, or with an attempt that is not in the journal yet."""
        self._idle = 0
        """Threads that wait for a claim."""
        self._looks_at: datetime | None = None
        """When the first of them wakes up to check again."""
        self._waiting = 0
        """Waiting claims of all endpoints."""
        self._latest: Batch | None = None
        self._latest_waiting = 0
        """Claims of the latest batch that have not started."""
        self._done: list[Attempt] = []
        self._responses = 0
        """Attempts in ``_done`` that prove that our own network works."""
        self._given_up: list[Claim] = []
        self._threads: list[threading.Thread] = []
        self._is_stopped = self._is_closed = False
        self._error: BaseException | None = None

    # The work of a thread.

    def _work(self) -> None:
        try:
            while (claim := self._take()) is not None:
                attempt = self._send(claim)
                self._free_slot(attempt)
                self._journal(attempt)
                self._keep(attempt)
        except BaseException as error:
            self._fail(error)

    def _take(self) -> Claim | None:
        """Wait for the next claim that may be sent. None at the end of the run."""
        with self._lock:
            while not self._is_closed:
                claim = self._next()
                if self._is_turn():
                    self._progress.notify()
                if claim is not None:
                    self._wake_another()
                    return claim
                self._await_claim()
            return None

    def _free_slot(self, attempt: Attempt) -> None:
        """Free the slot of an attempt: its response arrived, or none can arrive any more."""
        with self._lock:
            queue = self._queues[attempt.claim.endpoint_id]
            queue.running -= 1
            self._running[queue.health] -= 1
            self._learn(queue, attempt)
            self._list(queue)
            self._wake_another()

    def _keep(self, attempt: Attempt) -> None:
        """Keep an attempt that is on disk until it is collected."""
        with self._lock:
            self._busy -= 1
            self._done.append(attempt)
            self._responses += int(attempt.proves_network)
            if self._is_turn():
                self._progress.notify()

    # Choosing the next claim.

    def _next(self) -> Claim | None:
        """The next claim that may start now, of the endpoint whose turn it is."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            queue = heapq.heappop(self._later)[2]
            queue.is_listed = False
            self._list(queue)
        for health in (Health.UNPROVEN, Health.FAILING, Health.PROVEN):
            turns = self._turns[health]
            while turns and self._has_room(health):
                queue = turns.popleft()
                queue.is_listed = False
                if queue.health is not health or not _has_slot(queue, self._limits):
                    self._list(queue)
                    continue
                wait = self._wait_of(queue, now)
                if wait is None:
                    self._give_up(queue)
                elif wait:
                    heapq.heappush(self._later, (now + wait, next(self._serial), queue))
                    queue.is_listed = True
                else:
                    return self._start(queue, now)
        return None

    def _wait_of(self, queue: _Queue, now: datetime) -> timedelta | None:
        """How long an endpoint's next claim must wait; None when it may no longer start."""
        if self._stop.is_asked:
            return None
        claim, batch = queue.waiting[0]
        wait = queue.pace_under(batch.grants[claim.endpoint_id]).wait(now)
        deadline = timedelta(seconds=queue.endpoint.timeout_seconds)
        return wait if now + wait < batch.lease_ends_at - deadline - LEASE_MARGIN else None

    def _start(self, queue: _Queue, now: datetime) -> Claim:
        claim, batch = queue.waiting.popleft()
        self._waiting -= 1
        self._latest_waiting -= int(batch is self._latest)
        queue.pace_under(batch.grants[claim.endpoint_id]).take(now)
        queue.running += 1
        self._running[queue.health] += 1
        self._busy += 1
        self._list(queue)
        return claim

    def _list(self, queue: _Queue) -> None:
        """Give an endpoint a turn, if it can use one and has none yet."""
        if not queue.is_listed and _has_slot(queue, self._limits):
            queue.is_listed = True
            self._turns[queue.health].append(queue)

    def _has_room(self, health: Health) -> bool:
        """Whether a thread is free in the share for endpoints of this health."""
        return all(
            sum(self._running[: one + 1]) < self._shares[one] for one in Health if one >= health
        )

    # Learning from responses.

    def _learn(self, queue: _Queue, attempt: Attempt) -> None:
        """Trust the endpoint more or less, and open its circuit breaker before the ledger does.

        It opens after failures or sender errors in a row, and when the endpoint is gone, cannot
        receive, or has named a time until which it wants nothing.
        """
        follow_up = attempt.follow_up
        if follow_up.is_success:
            queue.failures = queue.sender_errors = 0
            self._set_health(queue, Health.PROVEN)
        elif follow_up.is_failure:
            queue.failures, queue.sender_errors = queue.failures + 1, 0
            self._set_health(queue, Health.FAILING)
        else:
            queue.sender_errors += 1
        if (
            max(queue.failures, queue.sender_errors) >= TRIP_IN_A_ROW
            or follow_up.is_endpoint_gone
            or follow_up.pause_until is not None
            or not attempt.is_sent
        ):
            queue.opened_by = attempt
            self._give_up(queue)

    def _set_health(self, queue: _Queue, health: Health) -> None:
        self._running[queue.health] -= queue.running
        self._running[health] += queue.running
        queue.health = health

    def _give_up(self, queue: _Queue) -> None:
        """Start none of an endpoint's waiting claims."""
        self._given_up += [claim for claim, _ in queue.waiting]
        self._waiting -= len(queue.waiting)
        queue.waiting.clear()

    # The interface for the run.

    def add(self, batch: Batch) -> None:
        """Add claims to send, after those that already wait for the same endpoints.

        Claims for an endpoint whose circuit breaker is open are given up: they were claimed before
        the ledger knew of it.
        """
        with self._lock:
            self._latest, self._latest_waiting = batch, len(batch.claims)
            for claim in batch.claims:
                queue = self._queues[claim.endpoint_id]
                if queue.opened_by is not None or self._is_stopped:
                    self._given_up.append(claim)
                else:
                    queue.waiting.append((claim, batch))
                    self._waiting += 1
                    self._list(queue)
            self._can_start.notify_all()
        wanted = self._limits.threads + self._limits.unwritten
        for _ in range(min(wanted - len(self._threads), len(batch.claims))):
            self._threads.append(threading.Thread(target=self._work, name="delivery"))
            self._threads[-1].start()

    def waiting(self) -> dict[int, int]:
        """How many claims of each endpoint wait to start."""
        with self._lock:
            return {key: len(one.waiting) for key, one in self._queues.items() if one.waiting}

    def wait(self, until: datetime) -> None:
        """Wait until attempts should be settled, claims given back, or more claims made.

        That is when a batch of attempts is done, too few claims are left, ``SETTLE_AFTER`` has
        passed, or nothing waits or runs any more. Also at ``until``, and when a stop is requested.

        Raises:
            BaseException: whatever ``send`` or ``journal`` raised.
        """
        settle_at = self._clock() + SETTLE_AFTER
        with self._lock:
            while self._error is None and not self._is_turn():
                now = self._clock()
                if not self._is_stopped and (now >= until or self._stop.is_asked):
                    break
                # Also when no endpoint responds: an operator may have paused waiting webhooks.
                if now >= settle_at:
                    break
                self._progress.wait(LOOK_SECONDS)
        if self._error is not None:
            self._join()
            raise self._error

    def collect(self) -> tuple[list[Attempt], list[Claim]]:
        """Attempts since the last call, in the order in which they ended, and claims given up.

        Silence alone is not settled while a request runs: our own network may prove to be down.
        """
        with self._lock:
            given_up, self._given_up = self._given_up, []
            if not self._responses and not self._is_idle:
                return [], given_up
            done, self._done, self._responses = self._done, [], 0
            for one in done:
                queue = self._queues[one.claim.endpoint_id]
                if queue.opened_by is one:
                    # The ledger gets it before the next claim, and decides what may be claimed.
                    queue.opened_by = None
        return done, given_up

    def stop(self) -> None:
        """Start nothing more; running requests may finish."""
        with self._lock:
            self._is_stopped = True
        self.give_up(self._queues)

    def give_up(self, endpoint_ids: Iterable[int]) -> None:
        """Start none of these endpoints' waiting claims; running requests may finish."""
        with self._lock:
            for one in endpoint_ids:
                self._give_up(self._queues[one])

    @property
    def is_spent(self) -> bool:
        """Whether nothing waits or runs, and everything has been collected."""
        with self._lock:
            return self._is_idle and not self._done and not self._given_up

    def fails_on_our_side(self, endpoint_id: int) -> bool:
        """Whether an endpoint gets no more attempts in this run after sender errors in a row."""
        with self._lock:
            return self._queues[endpoint_id].sender_errors >= TRIP_IN_A_ROW

    def next_slot_at(self, endpoint_id: int, known: datetime | None) -> datetime | None:
        """The later of the ledger's next slot and the one after those this run actually used."""
        with self._lock:
            pace = self._queues[endpoint_id].pace
        times = [one for one in (known, pace and pace.next_slot_at) if one is not None]
        return max(times, default=None)

    # Waiting and ending.

    @property
    def _is_idle(self) -> bool:
        return not self._busy and not self._waiting

    def _is_turn(self) -> bool:
        """Whether there is something for the run to do."""
        if self._is_stopped and self._given_up:
            return True
        is_enough = len(self._done) >= self._limits.batch_size or self._runs_short()
        return self._is_idle or (self._responses > 0 and is_enough)

    def _runs_short(self) -> bool:
        """Whether to claim more now, so that threads do not have to wait.

        That is at half of the latest batch, not of the largest: an endpoint's rate may allow a
        batch of only one, and each response would trigger the next claim.
        """
        return (
            not self._is_stopped
            and self._latest is not None
            and self._latest.leaves_more
            and self._latest_waiting <= len(self._latest.claims) // 2
        )

    def _await_claim(self) -> None:
        """Wait for a claim; one waiting thread checks again when the next claim may start."""
        due = self._later[0][0] if self._later else None
        looks = due is not None and (self._looks_at is None or due < self._looks_at)
        if looks:
            self._looks_at = due
        self._idle += 1
        self._can_start.wait((due - self._clock()).total_seconds() if due and looks else None)
        self._idle -= 1
        if looks and self._looks_at == due:
            self._looks_at = None

    def _wake_another(self) -> None:
        """Wake a waiting thread if there is a claim for it, or a time at which to check again."""
        if self._idle and (
            any(self._turns[one] and self._has_room(one) for one in Health)
            or (self._later and self._looks_at is None)
        ):
            self._can_start.notify()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error
            self._close()

    def _close(self) -> None:
        self._is_closed = True
        self._can_start.notify_all()
        self._progress.notify_all()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._close()
        self._join()


def _health(state: EndpointState | None) -> Health:
    return Health.FAILING if state is not None and state.is_failing else Health.UNPROVEN


def _has_slot(queue: _Queue, limits: Limits) -> bool:
    slots = limits.per_endpoint if queue.health is Health.PROVEN else 1
    return bool(queue.waiting) and queue.running < slots
