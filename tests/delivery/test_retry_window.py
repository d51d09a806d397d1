"""The whole retry window in simulated time: 27 hours and 35 minutes in a second or two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise, product
from typing import Any

import pytest

from sync.delivery.scheduler import Limits
from sync.delivery.send import SendReport, send_due
from sync.domain.circuit_breaker import DISABLE_AFTER, FIRST_OPEN, LONGEST_OPEN, TRIP_IN_A_ROW
from sync.domain.responses import (
    Attribution,
    ErrorKind,
    Failure,
    Reached,
    Response,
    ResponseWithBody,
)
from sync.domain.retry import JITTER, STEPS
from sync.ledger.endpoint_states import EndpointStates
from sync.operations.endpoint_switch import enable
from sync.warehouse import Warehouse
from tests.support.delivery import Run, audit, complete
from tests.support.site import Built

START = datetime(2026, 3, 12, 8, 0)
TICK = timedelta(minutes=1)
"""Interval between runs while something is due soon."""
FURTHER = 10_000
"""Higher than the numbers of all learners with webhooks at the start."""


def silence(url: str, reached: Reached = Reached.NOTHING) -> Failure:
    """A timeout; each URL is a separate host."""
    hosts = frozenset({url})
    return Failure(
        ErrorKind.TIMEOUT, Attribution.RECEIVER, "no answer in time", reached=reached, hosts=hosts
    )


def answer(status: int, retry_after: str | None = None) -> Response:
    return Response(status, retry_after, "")


Says = Callable[[str, int], Response | Failure]
"""Function from an endpoint's URL and the number of its request to the result."""


@dataclass
class Simulation:
    """A clock that moves only on request, and a poster that records when it was called."""

    warehouse: Warehouse
    run: Run
    says: Says
    now: datetime = START
    canary: Callable[[], bool | None] = lambda: None
    calls: list[tuple[str, str, datetime]] = field(default_factory=list)
    """Url, webhook id and time of each request."""

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Response | Failure:
        count = sum(called == url for called, _, _ in self.calls) + 1
        self.calls.append((url, headers["webhook-id"], self.now))
        return self.says(url, count)

    def post_for_body(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> ResponseWithBody | Failure:
        raise AssertionError("no endpoint here wants a token")

    def tick(self) -> SendReport:
        """One run now."""
        sender = self.run.sender(self.warehouse, self, canary=self.canary)
        return send_due(self.warehouse, replace(sender, clock=lambda: self.now))

    def complete(self, user_id: int) -> None:
        """Add a completion, built and due now."""
        complete(self.warehouse, [user_id], endpoints=self.run.endpoints)
        self.run.record_and_build(self.warehouse)
        self.warehouse.execute(
            "update analytics.sync.webhook_outbox set next_attempt_at = cast(? as timestamp_ntz)"
            " where user_id = ? and state = 'pending'",
            self.now.isoformat(),
            user_id,
        )

    def until(self, end: datetime, tick: timedelta = TICK) -> None:
        """Run whenever the previous run reported that something comes due, until ``end``."""
        while self.now < end:
            due = self.tick().next_due_at
            self.now = end if due is None else max(self.now + tick, due)

    def times_of(self, webhook_id: str) -> list[datetime]:
        return [time for _, called, time in self.calls if called == webhook_id]

    def rows(self) -> list[dict[str, Any]]:
        return self.warehouse.rows("select * from analytics.sync.webhook_outbox order by user_id")


def limited(run: Run, **limits: int) -> Run:
    return replace(run, limits=Limits(**limits))  # pyright: ignore[reportArgumentType]


@pytest.fixture
def simulate(built: Built, warehouse: Warehouse) -> Callable[..., Simulation]:
    """Endpoints with this many completions each, recorded and built at the start."""

    def begin(says: Says, *, endpoints: int = 1, each: int = 1) -> Simulation:
        run = replace(built(*[each] * endpoints).run, limits=Limits())
        warehouse.execute(
            "update analytics.sync.webhook_outbox set next_attempt_at = cast(? as timestamp_ntz)",
            START.isoformat(),
        )
        return Simulation(warehouse, run, says)

    return begin


def test_eight_attempts_each_in_its_time_and_dead_only_after_the_last(
    simulate: Callable[..., Simulation],
) -> None:
    simulation = simulate(lambda url, n: answer(500))
    simulation.until(START + timedelta(hours=40))
    (row,) = simulation.rows()
    times = simulation.times_of(row["webhook_id"])
    assert len(times) == len(STEPS) == 8
    for before, after, step in zip(times, times[1:], STEPS[1:], strict=False):
        # An open circuit breaker and the schedule's interval can only add.
        late = LONGEST_OPEN + TICK
        assert step * (1 - JITTER) <= after - before <= step * (1 + JITTER) + late
    window = times[-1] - times[0]
    nominal = sum(STEPS, timedelta(0))
    assert nominal == timedelta(hours=27, minutes=35, seconds=5)
    assert nominal * (1 - JITTER) <= window <= nominal * (1 + JITTER) + 8 * (LONGEST_OPEN + TICK)
    assert (row["state"], row["state_reason"]) == ("dead", "attempts_exhausted")
    assert audit(simulation.warehouse, is_at_rest=True) == []


def test_no_attempt_comes_before_the_time_that_retry_after_names(
    simulate: Callable[..., Simulation],
) -> None:
    """One endpoint for each status and each form of the header."""
    wait = timedelta(hours=1)
    kinds = list(product((429, 503), ("seconds", "date")))

    def says(url: str, n: int) -> Response:
        status, form = kinds[int(url[-1])]
        date = format_datetime((simulation.now + wait).replace(tzinfo=UTC), usegmt=True)
        return answer(status, "3600" if form == "seconds" else date) if n < 4 else answer(200)

    simulation = simulate(says, endpoints=len(kinds))
    simulation.until(START + timedelta(hours=4))
    assert [row["state"] for row in simulation.rows()] == ["delivered"] * len(kinds)
    for row in simulation.rows():
        times = simulation.times_of(row["webhook_id"])
        assert len(times) == 4, "all of whose steps are shorter than the wait"
        assert all(after - before >= wait for before, after in pairwise(times))


def test_a_pause_that_one_webhook_was_given_holds_for_the_whole_endpoint(
    simulate: Callable[..., Simulation],
) -> None:
    simulation = simulate(lambda url, n: answer(429, "900") if n == 1 else answer(200), each=3)
    simulation.run = limited(simulation.run, batch_size=1, threads=1)
    simulation.until(START + timedelta(hours=2))
    times = sorted(time for _, _, time in simulation.calls)
    assert times[0] == START
    assert times[1] >= START + timedelta(seconds=900)
    assert {row["state"] for row in simulation.rows()} == {"delivered"}


def test_an_endpoint_that_is_down_for_a_while_loses_nothing_and_gets_few_requests(
    simulate: Callable[..., Simulation],
) -> None:
    outage = timedelta(minutes=20)
    fixed_at = START + outage
    webhooks = 20
    simulation = simulate(
        lambda url, n: answer(200 if simulation.now >= fixed_at else 500), each=webhooks
    )
    simulation.until(START + timedelta(hours=30))
    during = [time for _, _, time in simulation.calls if time < fixed_at]
    assert TRIP_IN_A_ROW <= len(during) <= TRIP_IN_A_ROW + 4 + outage / (2 * FIRST_OPEN)
    assert {row["state"] for row in simulation.rows()} == {"delivered"}
    assert max(row["attempt_count"] for row in simulation.rows()) < len(STEPS)


def test_gone_kills_the_webhook_disables_the_endpoint_and_holds_the_rest(
    simulate: Callable[..., Simulation],
) -> None:
    simulation = simulate(lambda url, n: answer(410), each=3)
    simulation.run = limited(simulation.run, batch_size=1, threads=1)
    simulation.until(START + timedelta(hours=40))
    assert len(simulation.calls) == 1
    states = sorted((row["state"], row["state_reason"]) for row in simulation.rows())
    assert states[0] == ("dead", "endpoint_gone")
    simulation.tick()
    held = [row["state_reason"] for row in simulation.rows() if row["state"] == "held"]
    assert held == ["endpoint_disabled"] * 2


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(timedelta(hours=36), id="the last hours of them"),
        pytest.param(DISABLE_AFTER, id="all of them", marks=pytest.mark.prove),
    ],
)
def test_five_days_of_failures_switch_an_endpoint_off_that_keeps_its_webhooks_from_then_on(
    simulate: Callable[..., Simulation], left: timedelta
) -> None:
    simulation = simulate(lambda url, n: answer(500))
    EndpointStates(simulation.warehouse).change(
        [1], lambda state: replace(state, failing_since=START + left - DISABLE_AFTER)
    )
    for day in range(1, left.days + 3):
        simulation.until(START + timedelta(days=day))
        simulation.complete(FURTHER + day)
    simulation.until(START + timedelta(days=left.days + 4))
    simulation.tick()
    last_call = simulation.calls[-1][2] - START
    assert left <= last_call < left + timedelta(hours=12)
    states = [(row["state"], row["state_reason"]) for row in simulation.rows()]
    assert states[0] == ("dead", "attempts_exhausted"), "before that they die in turn"
    assert states[-2:] == [("held", "endpoint_disabled")] * 2
    simulation.says = lambda url, n: answer(200)
    enable(simulation.warehouse, 1)
    simulation.tick()
    assert [row["state"] for row in simulation.rows()][-2:] == ["delivered"] * 2


def test_an_outage_of_ours_charges_nobody_however_long_it_lasts(
    simulate: Callable[..., Simulation],
) -> None:
    back_at = START + timedelta(minutes=12)
    simulation = simulate(
        lambda url, n: answer(200) if simulation.now >= back_at else silence(url), endpoints=3
    )
    simulation.canary = lambda: simulation.now >= back_at
    simulation.until(back_at)
    assert len(simulation.calls) > 3 * len(STEPS), "many tries"
    assert [row["attempt_count"] for row in simulation.rows()] == [0, 0, 0], "none charged"
    simulation.until(back_at + timedelta(minutes=5))
    assert {row["state"] for row in simulation.rows()} == {"delivered"}


@pytest.mark.parametrize(
    ("reached", "canary"),
    [
        pytest.param(Reached.HOST, False, id="they accept, and a silent canary cannot excuse it"),
        pytest.param(Reached.NOTHING, True, id="they are dead, and the canary is not"),
        pytest.param(Reached.NOTHING, None, id="they are dead, and there is no canary"),
    ],
)
def test_three_silent_hosts_are_charged_unless_our_own_network_is_silent(
    simulate: Callable[..., Simulation], reached: Reached, *, canary: bool | None
) -> None:
    simulation = simulate(lambda url, n: silence(url, reached), endpoints=3)
    simulation.canary = lambda: canary
    assert not simulation.tick().is_own_network_down
    assert [row["attempt_count"] for row in simulation.rows()] == [1, 1, 1]


def test_three_hosts_that_never_respond_back_off_and_end_as_dead_letters(
    simulate: Callable[..., Simulation],
) -> None:
    simulation = simulate(lambda url, n: silence(url, Reached.HOST), endpoints=3)
    # Longer than the longest step, so all three are due each time.
    simulation.until(START + timedelta(hours=120), tick=timedelta(hours=13))
    states = {(row["state"], row["state_reason"]) for row in simulation.rows()}
    assert states == {("dead", "attempts_exhausted")}
    assert len(simulation.calls) == 3 * len(STEPS)
    breakers = simulation.warehouse.rows(
        "select breaker_state, consecutive_failures from analytics.sync.endpoint_state"
    )
    assert {tuple(one.values()) for one in breakers} == {("open", len(STEPS))}
