"""Who is to blame when nobody responds: evidence decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from sync.delivery.attribution import SUSPICIOUS_HOSTS, Attributed, attribute, count_hosts
from sync.domain.responses import Attribution, ErrorKind, Failure, Reached, Response
from sync.domain.work import Attempt
from tests.support.attempts import attempt_of

NOW = datetime(2026, 3, 12, 8, 0)
LATER = NOW + timedelta(seconds=1)
OK = Response(200, None, "")


def failure(
    *hosts: str,
    kind: ErrorKind = ErrorKind.TIMEOUT,
    reached: Reached = Reached.NOTHING,
    attribution: Attribution = Attribution.RECEIVER,
) -> Failure:
    return Failure(kind, attribution, "no text counts", reached=reached, hosts=frozenset(hosts))


def attempt(endpoint_id: int, result: Response | Failure, *, started_at: datetime = NOW) -> Attempt:
    return attempt_of(result, f"id-{endpoint_id}", endpoint_id=endpoint_id, started_at=started_at)


def silent(*numbers: int, started_at: datetime = NOW) -> list[Attempt]:
    return [
        attempt(n, failure(f"{n}.example.com", f"192.0.2.{n}"), started_at=started_at)
        for n in numbers
    ]


def told(
    attempts: list[Attempt], *, canary: bool | None, worked_at: datetime | None = None
) -> Attributed:
    return attribute(attempts, now=LATER, worked_at=worked_at, reaches_network=lambda: canary)


def charged(found: Attributed) -> list[bool]:
    return [one.follow_up.is_charged for one in found.attempts]


def never() -> bool:
    raise AssertionError("the canary was asked without need")


@pytest.mark.parametrize(
    ("canary", "is_ours"),
    [
        pytest.param(False, True, id="the canary is silent, too"),
        pytest.param(True, False, id="the canary responds"),
        pytest.param(None, False, id="no canary"),
    ],
)
def test_many_silent_hosts_are_our_outage_only_when_the_canary_is_silent_too(
    canary: bool | None, *, is_ours: bool
) -> None:
    found = told(silent(1, 2, 3), canary=canary)
    assert found.is_own_network_down is is_ours
    assert charged(found) == [not is_ours] * 3
    assert {one.follow_up.attribution for one in found.attempts} == {
        Attribution.SENDER if is_ours else Attribution.RECEIVER
    }


def test_few_silent_hosts_are_theirs_whatever_the_canary_says() -> None:
    found = told(silent(*range(1, SUSPICIOUS_HOSTS)), canary=False)
    assert charged(found) == [True] * (SUSPICIOUS_HOSTS - 1)
    assert not found.is_own_network_down


@pytest.mark.parametrize("shared", ["hooks.example.com", "192.0.2.200"], ids=["name", "address"])
def test_endpoints_on_one_host_are_one_host(shared: str) -> None:
    """One customer's three regions; or three names of one address."""
    attempts = [attempt(n, failure(f"{n}.example.com", shared)) for n in (1, 2, 3)]
    assert count_hosts(attempts) == 1
    assert charged(told(attempts, canary=False)) == [True] * 3


def test_hosts_are_related_through_a_third_one() -> None:
    first, second = attempt(1, failure("a", "192.0.2.1")), attempt(2, failure("b", "192.0.2.2"))
    both = attempt(3, failure("c", "192.0.2.1", "192.0.2.2"))
    assert [count_hosts([first, second]), count_hosts([first, second, both])] == [2, 1]


def test_a_failure_that_names_no_host_counts_for_none() -> None:
    assert charged(told([attempt(n, failure()) for n in range(9)], canary=False)) == [True] * 9


PROOFS = {
    "accepted and never answered": failure("x", reached=Reached.HOST),
    "refused": failure("x", kind=ErrorKind.CONNECT, reached=Reached.HOST),
    "handshake failed": failure("x", kind=ErrorKind.TLS, reached=Reached.HOST),
    "unknown name": failure("x", kind=ErrorKind.DNS, reached=Reached.NAME_SERVER),
    "answered": OK,
    "answered with an error": Response(502, None, ""),
}


@pytest.mark.parametrize("proof", [pytest.param(one, id=name) for name, one in PROOFS.items()])
def test_what_proves_that_our_network_works_is_charged_however_many_there_are(
    proof: Response | Failure,
) -> None:
    attempts = [attempt(n, proof) for n in range(SUSPICIOUS_HOSTS + 2)]
    found = attribute(attempts, now=LATER, worked_at=None, reaches_network=never)
    assert charged(found) == [True] * len(attempts)


@pytest.mark.parametrize("proof", [pytest.param(one, id=name) for name, one in PROOFS.items()])
def test_one_proof_makes_the_silence_of_others_meanwhile_theirs(proof: Response | Failure) -> None:
    attempts = [*silent(1, 2, 3), attempt(4, proof, started_at=LATER)]
    found = attribute(attempts, now=LATER, worked_at=None, reaches_network=never)
    assert charged(found) == [True] * 4


def test_a_request_that_timed_out_after_connecting_proves_nothing_of_its_end() -> None:
    hung = attempt(4, failure("x", reached=Reached.HOST), started_at=NOW)
    assert charged(told([hung, *silent(1, 2, 3, started_at=LATER)], canary=False)) == [
        True,
        False,
        False,
        False,
    ]


def test_requests_that_hung_while_others_got_a_response_are_charged() -> None:
    """In a large run, timeouts finish last, although their silence started long before."""
    found = told(silent(1, 2, 3), canary=False, worked_at=LATER)
    assert charged(found) == [True] * 3


def test_of_an_outage_that_began_in_mid_run_only_what_came_after_it_is_not_charged() -> None:
    attempts = [*silent(1, 2), attempt(9, OK), *silent(3, 4, 5, started_at=LATER)]
    found = told(attempts, canary=False)
    assert charged(found) == [True, True, True, False, False, False]
    assert found.is_own_network_down


def no_way(n: int, *, attribution: Attribution) -> Attempt:
    kind = ErrorKind.INTERNAL if attribution is Attribution.SENDER else ErrorKind.CONNECT
    host = f"{n}.example.com"
    return attempt(n, failure(host, kind=kind, reached=Reached.NO_ROUTE, attribution=attribution))


@pytest.mark.parametrize(
    ("canary", "attribution", "is_ours"),
    [
        pytest.param(False, Attribution.SENDER, True, id="none, and the canary is silent"),
        pytest.param(None, Attribution.SENDER, True, id="none, and no canary"),
        pytest.param(False, Attribution.RECEIVER, True, id="not to them, and the canary is silent"),
        pytest.param(None, Attribution.RECEIVER, False, id="not to them, and no canary"),
    ],
)
def test_no_way_to_any_host_is_our_outage_but_not_without_a_canary_if_others_may_have_said_so(
    canary: bool | None, attribution: Attribution, *, is_ours: bool
) -> None:
    """The customer's router or firewall can report that there is no route (EHOSTUNREACH), and many
    healthy networks cannot reach a host that has only IPv6 addresses."""
    found = told([no_way(n, attribution=attribution) for n in (1, 2, 3)], canary=canary)
    assert found.is_own_network_down is is_ours
    assert charged(found) == [not is_ours] * 3


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(lambda one: told([one], canary=True), id="the canary responds"),
        pytest.param(
            lambda one: told([one, attempt(2, OK)], canary=None),
            id="another endpoint answered",
        ),
    ],
)
@pytest.mark.parametrize(
    ("result", "kind"),
    [
        pytest.param(
            failure(
                "x",
                kind=ErrorKind.INTERNAL,
                reached=Reached.NO_ROUTE,
                attribution=Attribution.SENDER,
            ),
            ErrorKind.CONNECT,
            id="no way to one host",
        ),
        pytest.param(
            failure("x", kind=ErrorKind.DNS, attribution=Attribution.SENDER),
            ErrorKind.DNS,
            id="no response to one name",
        ),
    ],
)
def test_what_was_taken_for_ours_is_charged_once_our_network_is_proven_to_work(
    result: Failure, kind: ErrorKind, evidence: Callable[[Attempt], Attributed]
) -> None:
    """Otherwise a customer without a network would be tried every half minute forever."""
    one, *_ = evidence(attempt(1, result)).attempts
    assert one.follow_up.is_charged
    assert (one.follow_up.error_kind, one.follow_up.attribution) == (kind, Attribution.RECEIVER)


def test_no_way_to_one_host_is_ours_while_nothing_proves_that_our_network_works() -> None:
    found = told([no_way(1, attribution=Attribution.SENDER)], canary=False)
    assert charged(found) == [False]
    assert not found.is_changed


def test_what_never_left_this_process_is_ours_whoever_else_responds() -> None:
    no_socket = failure(
        "x", kind=ErrorKind.INTERNAL, reached=Reached.NOT_TRIED, attribution=Attribution.SENDER
    )
    assert charged(told([attempt(1, no_socket), attempt(2, OK)], canary=True)) == [
        False,
        True,
    ]
