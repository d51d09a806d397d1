"""A run ends when it can do nothing now, measured in requests and statements, not time."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from sync.delivery.endpoints import load_endpoints
from sync.delivery.send import SendReport, send_due
from sync.delivery.stop import Stop
from sync.domain.circuit_breaker import TRIP_IN_A_ROW, Breaker
from sync.domain.responses import Attribution, ErrorKind, Failure, Reached, Response
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.steps import Step
from sync.operations.endpoint_switch import DisableEndpoint
from sync.operations.endpoints import list_endpoints
from sync.operations.status import read_status
from sync.warehouse import Warehouse
from tests.support.delivery import audit
from tests.support.doubles import stopped
from tests.support.site import OK, Built, Poster, Site

DUE = 20
ONE_TURN = 40
"""Statements of a run that starts, sends and records one batch, checks once more and ends."""
HOUR = timedelta(hours=1)
LINGER = timedelta(seconds=8)
GONE = Response(410, None, "")
BUSY = Response(503, "3600", "")
BROKEN = Response(500, None, "")
NO_ROUTE = Failure(
    ErrorKind.INTERNAL, Attribution.SENDER, "no way", reached=Reached.NO_ROUTE, hosts=frozenset("a")
)
REFUSED = Failure(
    ErrorKind.INVALID_TARGET, Attribution.RECEIVER, "refused by a rule", reached=Reached.NOT_TRIED
)
OUTBOX = "analytics.sync.webhook_outbox"
DISABLE = DisableEndpoint(endpoint_id=1, reason="by hand")
STATE = "analytics.sync.endpoint_state"


@pytest.fixture(autouse=True)
def _a_batch_is_settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine settles it in parts, which cost statements."""
    monkeypatch.setattr("sync.delivery.scheduler.SETTLE_AFTER", timedelta(hours=1))


class Watched:
    """A run and its cost."""

    def __init__(self, site: Site, poster: Poster, **options: object) -> None:
        before = site.warehouse.statements
        # A run that does not end by itself would send many statements within this time.
        limits = {"time_budget": timedelta(seconds=90), "linger": LINGER, "batch_size": 100}
        self.report: SendReport = site.send(poster, **(limits | options))  # pyright: ignore[reportArgumentType]
        self.statements = site.warehouse.statements - before


def states(warehouse: Warehouse) -> Counter[tuple[str, str | None]]:
    rows = warehouse.rows(f"select state, state_reason from {OUTBOX}")
    return Counter((row["state"], row["state_reason"]) for row in rows)


def attempts(warehouse: Warehouse) -> int:
    rows = warehouse.rows("select count(*) as n from analytics.sync.webhook_attempts")
    return int(rows[0]["n"])


def given(warehouse: Warehouse, **changes: object) -> None:
    """Set the state of endpoint 1 as another run left it."""
    EndpointStates(warehouse).change([1], lambda state: replace(state, **changes))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("answer", "requests", "expected"),
    [
        pytest.param(BUSY, 1, {("pending", None): DUE}, id="503 with Retry-After"),
        pytest.param(Response(429, "3600", ""), 1, {("pending", None): DUE}, id="429"),
        pytest.param(
            GONE,
            1,
            {("dead", "endpoint_gone"): 1, ("held", "endpoint_disabled"): DUE - 1},
            id="410",
        ),
        pytest.param(BROKEN, TRIP_IN_A_ROW, {("pending", None): DUE}, id="failures in a row"),
        pytest.param(NO_ROUTE, TRIP_IN_A_ROW, {("pending", None): DUE}, id="errors on our side"),
        pytest.param(REFUSED, 1, {("held", "invalid_target"): DUE}, id="refused by the guard"),
    ],
)
def test_a_run_ends_once_its_endpoint_takes_nothing_more(
    built: Built,
    warehouse: Warehouse,
    answer: Response | Failure,
    requests: int,
    expected: dict[tuple[str, str | None], int],
) -> None:
    site, poster = built(DUE), Poster(lambda url: answer)
    found = Watched(site, poster)
    assert poster.sent.total() == requests
    assert found.statements <= ONE_TURN
    assert states(warehouse) == expected
    assert audit(warehouse, is_at_rest=True) == []


def blocked(site: Site) -> dict[str, dict[str, object]]:
    now = site.run.clock(site.warehouse)()
    return {
        "breaker open": {
            "breaker_state": Breaker.OPEN,
            "next_probe_at": now + HOUR,
            "consecutive_failures": 5,
        },
        "paused": {"paused_until": now + HOUR},
        "rate used up": {"next_slot_at": now + HOUR},
    }


@pytest.mark.parametrize("why", ["breaker open", "paused", "rate used up"])
def test_a_run_does_not_wait_for_an_endpoint_that_is_blocked_and_says_when_it_can_be_sent_to(
    built: Built, warehouse: Warehouse, why: str
) -> None:
    site, poster = built(DUE), Poster()
    given(warehouse, **blocked(site)[why])
    found = Watched(site, poster)
    assert poster.sent.total() == 0
    assert found.statements <= ONE_TURN
    assert found.report.next_due_at is not None
    wait = found.report.next_due_at - site.run.clock(warehouse)()
    assert timedelta(minutes=58) < wait <= HOUR


@pytest.mark.parametrize("why", ["breaker open", "paused", "rate used up", "disabled", "nothing"])
def test_only_what_a_run_would_claim_is_called_due(
    built: Built, warehouse: Warehouse, why: str
) -> None:
    """A high number due makes an operator look for a problem with the runs."""
    site = built(DUE)
    clock = site.run.clock(warehouse)
    others = {"disabled": {"disabled_at": clock()}, "nothing": {"rate_factor": 0.5}}
    given(warehouse, **(blocked(site) | others)[why])
    # As after two runs that inserted the first state of an endpoint at the same time.
    warehouse.execute(f"insert into {STATE} select * from {STATE}")
    due = DUE if why == "nothing" else 0
    status = read_status(warehouse)
    assert (status.due_now, status.oldest_due_age_seconds is None) == (due, due == 0)
    if why in blocked(site):
        assert status.oldest_due_at is not None
        assert HOUR - timedelta(minutes=2) < status.oldest_due_at - clock() <= HOUR
    else:
        assert (status.oldest_due_at is None) == (why == "disabled")
    listed = list_endpoints(warehouse, load_endpoints(warehouse), clock=clock)
    assert [one.due for one in listed] == [due]


def test_rows_that_another_run_holds_are_not_waited_for(built: Built, warehouse: Warehouse) -> None:
    site, poster = built(DUE), Poster()
    until = site.run.clock(warehouse)() + HOUR
    warehouse.execute(
        f"update {OUTBOX} set lease_owner = 'another', lease_expires_at = cast(? as timestamp_ntz)",
        until.isoformat(),
    )
    found = Watched(site, poster)
    assert poster.sent.total() == 0
    assert found.statements <= ONE_TURN
    assert found.report.next_due_at == until


@pytest.mark.parametrize("why", ["breaker open", "paused", "rate used up"])
def test_a_blocked_endpoint_costs_a_healthy_one_no_statement_per_webhook(
    built: Built, warehouse: Warehouse, why: str
) -> None:
    """More is due than was claimed, but only for the blocked endpoint."""
    site, poster = built(DUE, DUE), Poster()
    given(warehouse, **blocked(site)[why])
    found = Watched(site, poster, per_endpoint=1)
    assert poster.urls == {"https://hooks.example.com/1": DUE}
    assert found.statements <= ONE_TURN


def test_a_backlog_over_the_rate_costs_no_statement_per_webhook(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Webhooks over the rate limit are not queried again at each response."""
    site = built(300, max_requests_per_minute=300)
    poster = Poster()
    # However long it takes on a slow machine.
    enough = "sync.delivery.send._Run._is_over"
    monkeypatch.setattr(enough, lambda run, end: poster.sent.total() > 40)
    found = Watched(site, poster)
    assert poster.sent.total() > 40
    assert found.statements <= ONE_TURN


def test_rows_that_are_given_back_after_their_endpoint_was_held_are_held_as_well(
    built: Built, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were leased when the endpoint's rows were held, so they were missed."""
    monkeypatch.setattr("sync.delivery.scheduler.SETTLE_AFTER", timedelta(seconds=0.1))
    site, poster = built(DUE, max_requests_per_minute=6), Poster()
    claims = itertools.count()

    def hook(step: Step) -> None:
        if step is Step.CLAIMED and next(claims) == 0:
            DISABLE.run(warehouse, site.run.clock(warehouse))

    # However long that takes on a slow machine.
    enough = "sync.delivery.send._Run._is_over"
    monkeypatch.setattr(enough, lambda run, end: poster.sent.total() > 0 and bool(run._held))
    Watched(site, poster, hook=hook)
    sent = poster.sent.total()
    assert 0 < sent < 4, "else nothing was claimed and given back"
    assert states(warehouse) == {
        ("delivered", None): sent,
        ("held", "endpoint_disabled"): DUE - sent,
    }


def test_an_endpoint_that_is_disabled_by_hand_during_a_run_gets_no_further_batch(
    built: Built, warehouse: Warehouse
) -> None:
    site, poster = built(DUE), Poster()
    claims = Counter[Step]()

    def hook(step: Step) -> None:
        claims[step] += 1
        if (step, claims[step]) == (Step.CLAIMED, 1):
            DISABLE.run(warehouse, site.run.clock(warehouse))

    found = Watched(site, poster, hook=hook, batch_size=10)
    assert poster.sent.total() == 10
    assert states(warehouse) == {("delivered", None): 10, ("held", "endpoint_disabled"): DUE - 10}
    assert found.report.unusable == {1: "endpoint_disabled"}
    assert found.report.next_due_at is None


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda site: DISABLE.run(site.warehouse, site.run.clock(site.warehouse)),
            id="replays of a disabled endpoint",
        ),
        pytest.param(
            lambda site: setattr(site, "run", replace(site.run, endpoints=0)),
            id="replays of an endpoint without a key",
        ),
    ],
)
def test_replays_of_an_endpoint_that_cannot_be_sent_to_keep_no_run_going(
    built: Built, warehouse: Warehouse, make: Callable[[Site], object]
) -> None:
    site, poster = built(DUE), Poster()
    warehouse.execute(f"update {OUTBOX} set state = 'delivered', replay_id = 'replay-1'")
    make(site)
    found = Watched(site, poster)
    assert poster.sent.total() == 0
    assert found.statements <= ONE_TURN
    assert found.report.next_due_at is None


def test_what_comes_due_within_the_linger_is_waited_for(built: Built, warehouse: Warehouse) -> None:
    """The negative control: not every run ends immediately."""
    site, poster = built(3), Poster()
    given(warehouse, paused_until=site.run.clock(warehouse)() + timedelta(seconds=3))
    assert Watched(site, poster).report.outcomes == {"delivered": 3}


def test_nothing_is_waited_for_beyond_the_time_budget(
    built: Built, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:

    def sleep(stop: Stop, seconds: float) -> None:
        raise AssertionError(f"{seconds} s, with less than one left")

    monkeypatch.setattr(Stop, "sleep", sleep)
    site, poster = built(3), Poster()
    minute = timedelta(minutes=1)
    given(warehouse, paused_until=site.run.clock(warehouse)() + minute)
    Watched(site, poster, time_budget=timedelta(seconds=1), linger=2 * minute)
    assert poster.sent.total() == 0


def test_what_is_found_to_be_a_sender_error_is_journaled_so(
    built: Built, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run may die before the ledger has it, and the next run relies on the journal."""
    site = built(1, 1, 1)
    silent = Poster(
        lambda url: Failure(
            ErrorKind.TIMEOUT,
            Attribution.RECEIVER,
            "no answer",
            reached=Reached.NOTHING,
            hosts=frozenset({url}),
        )
    )
    sender = site.run.sender(warehouse, silent, canary=lambda: False)
    with monkeypatch.context() as dies:
        stopped(dies, "sync.delivery.send.settle")
        with pytest.raises(Exception, match="reached"):
            send_due(warehouse, sender)
    assert silent.sent.total() == 3
    assert Watched(site, Poster()).report.recovered == 3
    rows = warehouse.rows("select attempt_number, attribution from analytics.sync.webhook_attempts")
    assert [row["attribution"] for row in rows] == ["ours"] * 3
    assert warehouse.rows(f"select max(attempt_count) as n from {OUTBOX}") == [{"n": 0}]


def test_an_endpoint_whose_target_is_refused_makes_no_attempts_and_is_looked_at_hourly(
    built: Built, warehouse: Warehouse
) -> None:
    site, poster = built(DUE), Poster(lambda url: REFUSED)
    looks, batches = [], {"batch_size": 5}
    for wait in (timedelta(0), timedelta(minutes=5), timedelta(minutes=50), timedelta(minutes=7)):
        site.run = site.run.later(wait)
        found = Watched(site, poster, **batches)
        looks.append(poster.sent.total())
        assert found.statements <= ONE_TURN
        assert found.report.unusable == {1: "invalid_target"}
        assert "refused" in found.report.problems[1]
    assert looks == [1, 1, 1, 2]
    assert attempts(warehouse) == 0
    assert states(warehouse) == {("held", "invalid_target"): DUE}
    site.run = replace(site.run, host_ports=f"{site.run.host_ports},127.0.0.1:9")
    Watched(site, poster, **batches)
    assert poster.sent.total() == 3, "the rules have changed"
    warehouse.execute(
        "update analytics.marts.webhook_endpoints set token_url = 'https://auth.example.com/t'"
    )
    Watched(site, poster, **batches)
    assert poster.sent.total() == 4, "another URL of it has changed"
    poster.answer = lambda url: OK
    warehouse.execute("update analytics.marts.webhook_endpoints set url = url || '/new'")
    assert Watched(site, poster, **batches).report.outcomes == {"delivered": DUE}, (
        "its settings have changed"
    )


def test_a_secret_that_is_lost_during_a_run_makes_no_attempts(
    built: Built, warehouse: Warehouse
) -> None:
    lost = Failure(
        ErrorKind.INTERNAL, Attribution.SENDER, "incomplete", reached=Reached.NOT_CONFIGURED
    )
    site, poster = built(DUE), Poster(lambda url: lost)
    Watched(site, poster)
    assert poster.sent.total() == 1
    assert attempts(warehouse) == 0
    assert states(warehouse) == {("held", "oauth_incomplete"): DUE}
    poster.answer = lambda url: OK
    assert Watched(site, poster).report.outcomes == {"delivered": DUE}, "no hour to wait for"


def test_a_refused_address_in_a_url_is_held_without_a_look(
    built: Built, warehouse: Warehouse
) -> None:
    site, poster = built(DUE), Poster()
    warehouse.execute("update analytics.marts.webhook_endpoints set url = 'https://10.1.2.3/in'")
    Watched(site, poster)
    assert poster.sent.total() == attempts(warehouse) == 0
    assert states(warehouse) == {("held", "endpoint_invalid"): DUE}
