"""Which claim is sent next, and when, with real threads and a manual clock."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from queue import SimpleQueue

import pytest

from sync.delivery.scheduler import LEASE_MARGIN, SETTLE_AFTER, Limits, Scheduler
from sync.delivery.stop import LOOK_SECONDS
from sync.domain.circuit_breaker import TRIP_IN_A_ROW, Breaker, EndpointState
from sync.domain.endpoint import Endpoint, Region
from sync.domain.pacing import Grant
from sync.domain.responses import Attribution, ErrorKind, Failure, Response
from sync.domain.work import Attempt, Claim
from sync.ledger.claims import Batch
from tests.support.attempts import NOW, made
from tests.support.waiting import wait_until

WAIT_SECONDS = 60.0
END = NOW + timedelta(days=1)
OK = Response(200, None, "")
BROKEN = Response(500, None, "")
SILENCE = Failure(ErrorKind.TIMEOUT, Attribution.RECEIVER, "no response")
SENDER_ERROR = Failure(ErrorKind.INTERNAL, Attribution.SENDER, "no socket")
REFUSED = Failure(ErrorKind.INVALID_TARGET, Attribution.RECEIVER, "refused")
Result = Response | Failure


def endpoint(number: int) -> Endpoint:
    return Endpoint(
        endpoint_id=number,
        enterprise_customer_uuid="7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8",
        region=Region.OTHER,
        url=f"https://hooks.example.com/{number}",
        timeout_seconds=10,
        max_requests_per_minute=60,
        is_active=True,
        is_enrollment_events_enabled=False,
    )


def batch(
    counts: Mapping[int, int],
    *,
    first: int = 0,
    first_at: datetime = NOW,
    spacing: timedelta = timedelta(0),
    lease: timedelta = timedelta(hours=1),
) -> Batch:
    """This many claims for each endpoint, with ids from ``first`` on."""
    return Batch(
        [
            Claim(f"{n}", key, b"", 0, 1)
            for key, m in counts.items()
            for n in range(first, first + m)
        ],
        {key: Grant(key, m, first_at, spacing) for key, m in counts.items()},
        NOW + lease,
    )


class Site:
    """A scheduler, with simulated endpoints, disk and clock."""

    def __init__(
        self,
        respond: Callable[[Claim], Result] = lambda claim: OK,
        *,
        endpoints: Iterable[int] = (1,),
        states: Mapping[int, EndpointState] | None = None,
        journal: Callable[[Attempt], None] = lambda attempt: None,
        **limits: int,
    ) -> None:
        self.now = NOW
        self.sent: list[tuple[int, str]] = []
        """Endpoints and claims, in the order in which they were started."""
        self.running: Counter[int] = Counter()
        self.most: Counter[int] = Counter()
        """Concurrent requests by endpoint; 0 is the total."""
        self._respond = respond
        self._lock = threading.Lock()
        self.scheduler = Scheduler(
            [endpoint(one) for one in endpoints],
            states or {},
            Limits(**{"threads": 8, "per_endpoint": 2} | limits),  # pyright: ignore[reportArgumentType]
            send=self.send,
            journal=journal,
            clock=lambda: self.now,
        )

    def send(self, claim: Claim) -> Attempt:
        with self._lock:
            self.sent.append((claim.endpoint_id, claim.webhook_id))
            for key, n in ((claim.endpoint_id, 1), (0, 1)):
                self.running[key] += n
                self.most[key] = max(self.most[key], self.running[key])
        try:
            return made(claim, self._respond(claim), started_at=self.now)
        finally:
            with self._lock:
                self.running.subtract([claim.endpoint_id, 0])

    def prove(self, *endpoints: int) -> None:
        """Have endpoints respond successfully once, so that they get their full number of slots."""
        respond, self._respond = self._respond, lambda claim: OK
        self.run(batch(dict.fromkeys(endpoints, 1), first=-1))
        self._respond = respond
        self.sent.clear()
        self.most.clear()

    def run(self, *batches: Batch) -> tuple[list[Attempt], list[Claim]]:
        """Send until nothing waits or runs."""
        for one in batches:
            self.scheduler.add(one)
        attempts, given_up = [], []
        while not self.scheduler.is_spent:
            self.scheduler.wait(END)
            done, untried = self.scheduler.collect()
            attempts += done
            given_up += untried
        return attempts, given_up

    def ids(self, endpoint_id: int) -> list[str]:
        return [claim for one, claim in self.sent if one == endpoint_id]


def waiting_for(event: threading.Event) -> Callable[[Claim], Result]:
    """Endpoints that respond once the event has come."""

    def respond(claim: Claim) -> Result:
        assert event.wait(WAIT_SECONDS)
        return OK

    return respond


def test_a_hanging_endpoint_delays_nobody_else() -> None:
    """Its request ends only when all of the other endpoint's requests have ended."""
    are_others_done = threading.Event()

    def respond(claim: Claim) -> Result:
        if claim.endpoint_id == 1:
            assert are_others_done.wait(WAIT_SECONDS), "the others waited for the one that hangs"
        elif len(site.ids(2)) == 20:
            are_others_done.set()
        return OK

    site = Site(respond, endpoints=(1, 2))
    with site.scheduler:
        attempts, given_up = site.run(batch({1: 6, 2: 20}))
    assert Counter(one.claim.endpoint_id for one in attempts) == {1: 6, 2: 20}
    assert given_up == []


@pytest.mark.parametrize(("threads", "per_endpoint"), [(3, 2), (8, 1), (4, 8)])
def test_neither_limit_is_ever_exceeded_and_both_are_used(threads: int, per_endpoint: int) -> None:
    # Each waits until the maximum are running, so that none is too quick to be counted.
    possible = min(threads, 4 * per_endpoint)
    together = threading.Barrier(possible)

    def respond(claim: Claim) -> Result:
        together.wait(WAIT_SECONDS)
        return OK

    site = Site(respond, endpoints=(1, 2, 3, 4), threads=threads, per_endpoint=per_endpoint)
    with site.scheduler:
        site.prove(1, 2, 3, 4)
        site.run(batch(dict.fromkeys((1, 2, 3, 4), possible)))
    assert site.most.pop(0) == possible
    assert max(site.most.values()) <= per_endpoint


def test_endpoints_take_turns_and_the_claims_of_one_go_in_order() -> None:
    site = Site(endpoints=(1, 2), threads=1)
    with site.scheduler:
        site.prove(1, 2)
        site.run(batch({1: 3, 2: 3}))
    assert site.sent == [(1, "0"), (2, "0"), (1, "1"), (2, "1"), (1, "2"), (2, "2")]


@pytest.mark.parametrize(
    ("state", "most"),
    [
        pytest.param({"consecutive_failures": 1}, 2, id="failing"),
        pytest.param({"breaker_state": Breaker.HALF_OPEN}, 2, id="half-open"),
        pytest.param({}, 6, id="without a response yet"),
    ],
)
def test_endpoints_that_hang_cannot_fill_the_pool_however_many_they_are(
    state: dict[str, object], most: int
) -> None:
    """Of 8 threads, failing endpoints get a quarter; with unproven ones, three quarters."""
    hanging = range(2, 22)
    is_good_done = threading.Event()

    def respond(claim: Claim) -> Result:
        if claim.endpoint_id != 1:
            assert is_good_done.wait(WAIT_SECONDS), "the good one found no thread"
        elif len(site.ids(1)) == 20:
            is_good_done.set()
        return OK

    states = {key: EndpointState(endpoint_id=key, **state) for key in hanging}  # pyright: ignore[reportArgumentType]
    site = Site(respond, endpoints=(1, *hanging), states=states)
    with site.scheduler:
        site.prove(1)
        site.scheduler.add(batch(dict.fromkeys(hanging, 1)))
        wait_until(lambda: site.running[0] == most, seconds=WAIT_SECONDS)
        site.run(batch({1: 20}))
    assert Counter(key for key, _ in site.sent) == {1: 20} | dict.fromkeys(hanging, 1)


def test_an_endpoint_whose_last_response_was_no_success_gets_one_request_at_a_time() -> None:
    said = iter([OK, BROKEN, OK, OK])
    site = Site(lambda claim: next(said), threads=1, per_endpoint=3)
    slots = []
    with site.scheduler:
        for n in range(4):
            queue = site.scheduler._queues[1]
            slots.append(queue.health.name)
            site.run(batch({1: 1}, first=n))
    assert slots == ["UNPROVEN", "PROVEN", "FAILING", "PROVEN"]


OPENING = {
    "gone": ([Response(410, None, "")], True),
    "too many, with a time": ([Response(429, "60", "")], True),
    "unavailable, with a time": ([Response(503, "60", "")], True),
    "refused by a rule": ([REFUSED], True),
    "failures in a row": ([BROKEN] * TRIP_IN_A_ROW, True),
    "sender errors in a row": ([SENDER_ERROR] * TRIP_IN_A_ROW, True),
    "too many, without a time": ([Response(429, None, "")], False),
    "fewer failures": ([BROKEN] * (TRIP_IN_A_ROW - 1), False),
    "a success in between": ([BROKEN] * (TRIP_IN_A_ROW - 1) + [OK] + [BROKEN] * 4, False),
}


@pytest.mark.parametrize(("results", "opens"), OPENING.values(), ids=OPENING)
def test_a_circuit_breaker_opens_before_the_ledger_knows_why(
    results: list[Result], *, opens: bool
) -> None:
    said = iter(results)
    site = Site(lambda claim: next(said, OK), per_endpoint=1)
    with site.scheduler:
        attempts, given_up = site.run(batch({1: len(results) + 2}))
    assert (len(attempts), len(given_up)) == (len(results), 2) if opens else (len(results) + 2, 0)


def test_claims_from_before_the_ledger_knew_are_given_up_and_later_ones_are_sent() -> None:
    """While the attempt that opened it waits for the disk, the ledger cannot be updated."""
    disk = threading.Event()

    def journal(attempt: Attempt) -> None:
        assert disk.wait(WAIT_SECONDS)

    site = Site(
        lambda claim: Response(410, None, "") if claim.webhook_id == "0" else OK,
        journal=journal,
    )
    scheduler = site.scheduler
    with scheduler:
        scheduler.add(batch({1: 1}))
        wait_until(lambda: scheduler._queues[1].opened_by is not None, seconds=WAIT_SECONDS)
        assert scheduler.collect() == ([], [])
        scheduler.add(batch({1: 2}, first=1))
        disk.set()
        attempts, given_up = site.run()
        assert ([one.claim.webhook_id for one in attempts], len(given_up)) == (["0"], 2)
        attempts, given_up = site.run(batch({1: 2}, first=3))
    assert ([one.claim.webhook_id for one in attempts], given_up) == (["3", "4"], [])


def test_an_endpoint_that_waits_for_its_time_holds_no_thread() -> None:
    def respond(claim: Claim) -> Result:
        if len(site.ids(2)) == 10:
            site.now = NOW + timedelta(seconds=1)
        return OK

    site = Site(respond, endpoints=(1, 2), threads=1)
    with site.scheduler:
        site.scheduler.add(batch({1: 1}, first_at=NOW + timedelta(seconds=1)))
        site.run(batch({2: 10}))
    assert site.sent == [*((2, str(n)) for n in range(10)), (1, "0")]


def test_a_claim_is_not_late_because_a_thread_waits_for_a_later_one() -> None:
    """One thread checks again in half an hour. One that learns of an earlier time after waiting
    longer must not rely on it."""
    soon, later = timedelta(seconds=0.3), timedelta(minutes=30)
    first, third = threading.Event(), threading.Event()

    def respond(claim: Claim) -> Result:
        assert {1: first, 3: third}[claim.endpoint_id].wait(WAIT_SECONDS)
        return OK

    site = Site(respond, endpoints=(1, 2, 3), per_endpoint=1)
    scheduler = site.scheduler
    with scheduler:
        scheduler.add(batch({1: 2}, spacing=soon))
        scheduler.add(batch({2: 3}, first_at=NOW + later))
        scheduler.add(batch({3: 2}))
        wait_until(lambda: len(site.sent) == 2, seconds=WAIT_SECONDS)
        third.set()
        wait_until(lambda: scheduler._busy == 1, seconds=WAIT_SECONDS)
        wait_until(lambda: scheduler._looks_at == NOW + later, seconds=WAIT_SECONDS)
        first.set()
        wait_until(lambda: scheduler._looks_at == NOW + soon, seconds=WAIT_SECONDS)
        site.now = NOW + soon
        wait_until(lambda: site.ids(1) == ["0", "1"], seconds=WAIT_SECONDS)
        scheduler.stop()


def test_claims_of_one_grant_keep_their_distance_and_so_do_those_of_the_next() -> None:
    """Otherwise delayed requests of one grant and those of the next are sent at twice the rate."""
    second = timedelta(seconds=1)
    site = Site()
    ago = {"first_at": NOW - 9 * second, "spacing": second}
    scheduler = site.scheduler
    with scheduler:
        scheduler.add(batch({1: 12}, **ago))
        wait_until(lambda: len(site.sent) == 10, seconds=WAIT_SECONDS)
        scheduler.add(batch({1: 1}, first=12, **ago))
        wait_until(lambda: scheduler._looks_at == NOW + second, seconds=WAIT_SECONDS)
        assert scheduler.waiting() == {1: 3}
        assert scheduler.next_slot_at(1, None) == NOW + second
        assert scheduler.next_slot_at(1, NOW + timedelta(hours=1)) == NOW + timedelta(hours=1)
        scheduler.stop()


@pytest.mark.parametrize(
    ("spare", "is_sent"), [(timedelta(0), False), (timedelta(seconds=5), True)]
)
def test_nothing_starts_so_late_that_its_response_could_come_after_the_lease(
    spare: timedelta, *, is_sent: bool
) -> None:
    lease = timedelta(seconds=endpoint(1).timeout_seconds) + LEASE_MARGIN + spare
    site = Site()
    with site.scheduler:
        attempts, given_up = site.run(batch({1: 1}, lease=lease))
    assert (len(attempts), len(given_up)) == ((1, 0) if is_sent else (0, 1))


def test_a_slot_is_free_at_the_response_while_the_attempt_waits_for_the_disk() -> None:
    """One slot: the second claim must be sent before the first attempt is on disk."""
    are_both_sent = threading.Event()

    def respond(claim: Claim) -> Result:
        if claim.webhook_id == "1":
            are_both_sent.set()
        return OK

    def journal(attempt: Attempt) -> None:
        assert are_both_sent.wait(WAIT_SECONDS), "the slot waited for the disk"

    site = Site(respond, threads=1, per_endpoint=1, journal=journal)
    with site.scheduler:
        attempts, _ = site.run(batch({1: 2}))
    assert {one.claim.webhook_id for one in attempts} == {"0", "1"}


def test_no_more_attempts_than_said_wait_for_the_disk_beside_the_requests_that_run() -> None:
    """The disk stalls until every thread waits for it."""
    disk = SimpleQueue[None]()
    site = Site(threads=4, per_endpoint=4, journal=lambda attempt: disk.get(timeout=WAIT_SECONDS))
    most = 4 + Limits(threads=4).unwritten
    with site.scheduler:
        disk.put(None)
        site.prove(1)
        site.scheduler.add(batch({1: 20}))
        wait_until(lambda: len(site.sent) == most, seconds=WAIT_SECONDS)
        for n in range(20):
            disk.put(None)
            wait_until(lambda n=n: len(site.sent) == min(most + n + 1, 20), seconds=WAIT_SECONDS)
        site.run()


@pytest.mark.parametrize("who", ["send", "journal"])
def test_an_error_is_raised_once_what_runs_has_ended_and_nothing_more_is_sent(who: str) -> None:
    has_failed, ended = threading.Event(), threading.Event()

    def fail() -> None:
        has_failed.set()
        raise ZeroDivisionError

    def respond(claim: Claim) -> Result:
        if claim.endpoint_id == 1:
            assert has_failed.wait(WAIT_SECONDS)
            ended.set()
        elif who == "send":
            fail()
        return OK

    def journal(attempt: Attempt) -> None:
        if attempt.claim.endpoint_id == 2:
            fail()

    site = Site(respond, endpoints=(1, 2), journal=journal)
    with site.scheduler, pytest.raises(ZeroDivisionError):
        site.run(batch({1: 2, 2: 1}))
    assert ended.is_set()
    assert Counter(key for key, _ in site.sent)[2] == 1


def test_silence_alone_is_not_collected_while_a_request_runs() -> None:
    is_over = threading.Event()

    def respond(claim: Claim) -> Result:
        if claim.endpoint_id == 1:
            assert is_over.wait(WAIT_SECONDS)
            return OK
        return SILENCE

    site = Site(respond, endpoints=(1, 2))
    scheduler = site.scheduler
    with scheduler:
        scheduler.add(batch({1: 1, 2: 1}))
        wait_until(lambda: len(scheduler._done) == 1, seconds=WAIT_SECONDS)
        assert scheduler.collect() == ([], [])
        is_over.set()
        attempts, _ = site.run()
    assert [one.result for one in attempts] == [SILENCE, OK]


def test_what_waits_at_a_stop_is_given_back_and_nothing_starts_any_more() -> None:
    is_over = threading.Event()
    site = Site(waiting_for(is_over))
    scheduler = site.scheduler
    with scheduler:
        scheduler.add(batch({1: 5}))
        wait_until(lambda: len(site.sent) == 1, seconds=WAIT_SECONDS)
        scheduler.stop()
        scheduler.wait(END)
        attempts, given_up = scheduler.collect()
        assert ([one.webhook_id for one in given_up], attempts) == (list("1234"), [])
        scheduler.add(batch({1: 1}, first=5))
        is_over.set()
        attempts, given_up = site.run()
    assert (len(attempts), [one.webhook_id for one in given_up]) == (1, ["5"])


def test_in_silence_the_run_looks_again_and_what_was_paused_is_given_back() -> None:
    is_over = threading.Event()
    site = Site(waiting_for(is_over), endpoints=(1, 2))
    scheduler = site.scheduler
    with scheduler:
        scheduler.add(batch({1: 3, 2: 2}, lease=timedelta(days=1)))
        wait_until(lambda: len(site.sent) == 2, seconds=WAIT_SECONDS)
        waiting = threading.Thread(target=scheduler.wait, args=[END])
        waiting.start()
        assert waiting.is_alive()

        def has_looked() -> bool:
            # More than once, since it may begin to wait after the first.
            site.now += SETTLE_AFTER
            return not waiting.is_alive()

        wait_until(has_looked, seconds=WAIT_SECONDS, every=2 * LOOK_SECONDS)
        scheduler.give_up([1])
        is_over.set()
        attempts, given_up = site.run()
    assert [(one.endpoint_id, one.webhook_id) for one in given_up] == [(1, "1"), (1, "2")]
    assert sorted(one.claim.endpoint_id for one in attempts) == [1, 2, 2]


def test_nothing_to_send_is_done_at_once() -> None:
    site = Site()
    with site.scheduler:
        assert site.run(batch({})) == ([], [])
