"""Who is to blame for silence, over real sockets: evidence decides, and hosts count, not ids."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.delivery import scheduler
from sync.delivery.send import SendReport, send_due
from sync.domain.responses import Attribution, ErrorKind, Failure, Reached, Response
from sync.http.resolver import SystemResolver
from sync.http.transport import Transport
from sync.ledger.steps import Step
from sync.warehouse import Warehouse
from tests.support.dead_hosts import black_hole, closed_port
from tests.support.delivery import Run, delivered
from tests.support.hostile import Endpoint, answering, response
from tests.support.sending import BODY, until_in_time
from tests.support.site import OK, Built, Poster

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
UNUSED = "127.0.0.8"
"""No test listens there, so it refuses connections on any port that 127.0.0.1 had free."""


def hanging(conversation: Any) -> None:
    conversation.read_request()
    conversation.stopping.wait(60)


@contextmanager
def accepting() -> Iterator[list[str]]:
    """Three hosts that accept a request and never respond."""
    with ExitStack() as hosts:
        yield [
            f"{one}:{hosts.enter_context(Endpoint(hanging, address=one)).port}" for one in ADDRESSES
        ]


@contextmanager
def refusing() -> Iterator[list[str]]:
    """Three hosts with a closed port."""
    with ExitStack() as hosts:
        yield [f"{one}:{hosts.enter_context(closed_port(one))}" for one in ADDRESSES]


@contextmanager
def dead(addresses: Sequence[str] = ADDRESSES) -> Iterator[list[str]]:
    """Hosts to which no connection can be made."""
    with ExitStack() as hosts:
        yield [f"{one}:{hosts.enter_context(black_hole(one))}" for one in addresses]


@contextmanager
def one_dead_host() -> Iterator[list[str]]:
    """Three regions of one customer, on one host."""
    with dead(ADDRESSES[:1]) as hosts:
        yield hosts * 3


def send(built: Built, hosts: list[str], *, canary: str | None) -> SendReport:
    """One run with one webhook for each of three hosts."""
    urls = [f"http://{one}/{n}" for n, one in enumerate(hosts)]
    site = built(1, 1, 1, timeout_seconds=1).at(*urls)
    resolver = SystemResolver(canary=canary)
    with Transport(policy=site.run.policy, resolver=resolver) as transport:
        sender = site.run.sender(site.warehouse, transport, canary=resolver.reaches_canary)
        return send_due(site.warehouse, sender)


def charged(warehouse: Warehouse) -> list[tuple[int, str]]:
    rows = warehouse.rows(
        """
        select outbox.attempt_count, attempts.attribution
        from analytics.sync.webhook_outbox as outbox
        inner join analytics.sync.webhook_attempts as attempts
            on outbox.webhook_id = attempts.webhook_id
        where attempts.attribution is not null
        """
    )
    return [(int(row["attempt_count"]), row["attribution"]) for row in rows]


@pytest.mark.parametrize("hosts", [accepting, refusing, one_dead_host])
def test_what_cannot_be_our_network_is_charged_though_nobody_responds_and_the_canary_neither(
    built: Built, warehouse: Warehouse, hosts: Any
) -> None:
    with hosts() as silent, dead(["127.0.0.9"]) as (canary,):
        report = send(built, silent, canary=canary)
    assert charged(warehouse) == [(1, "theirs")] * 3
    assert not report.is_own_network_down


@pytest.mark.parametrize("is_canary_dead", [True, False])
def test_three_dead_hosts_are_our_outage_only_when_the_canary_is_dead_too(
    built: Built, warehouse: Warehouse, *, is_canary_dead: bool
) -> None:
    with dead() as silent, dead(["127.0.0.9"]) as (gone,), refusing() as (alive, *_):
        canary = gone if is_canary_dead else alive
        report = send(built, silent, canary=canary)
    assert report.is_own_network_down is is_canary_dead
    assert charged(warehouse) == [(0, "ours") if is_canary_dead else (1, "theirs")] * 3


def test_what_got_a_response_in_an_earlier_batch_makes_the_silence_meanwhile_theirs(
    built: Built, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silent requests end last, at their deadline, after the proof was recorded."""
    monkeypatch.setattr(scheduler, "SETTLE_AFTER", timedelta(seconds=0.1))
    site = built(4, 1, 1, 1)
    is_recorded, have_all_begun = threading.Event(), threading.Event()

    def answer(url: str) -> Response | Failure:
        number = url[-1]
        if len(poster.urls) == 4:
            have_all_begun.set()
        if number == "0":
            assert have_all_begun.wait(120)
            return OK
        assert is_recorded.wait(120)
        hosts = frozenset({f"{number}.example.com"})
        return Failure(ErrorKind.TIMEOUT, Attribution.RECEIVER, "silent", hosts=hosts)

    def hook(step: Step) -> None:
        if step is Step.SETTLED and len(delivered(warehouse)) == 4:
            is_recorded.set()

    poster = Poster(answer)
    sender = site.run.sender(warehouse, poster, hook=hook, canary=lambda: False)
    report = send_due(warehouse, sender)
    assert not report.is_own_network_down
    assert sorted(charged(warehouse)) == [(1, "theirs")] * 3


def test_a_connection_that_is_used_again_and_falls_silent_proves_nothing() -> None:
    """The connection was made before our network went down."""

    def answer_once(conversation: Any) -> None:
        conversation.read_request()
        conversation.send(response("200 OK"))
        hanging(conversation)

    second = second_of_one_connection(answer_once, 1)
    assert second.reached is Reached.NOTHING
    assert second.hosts == {"127.0.0.1"}


def second_of_one_connection(script: Any, seconds: float) -> Failure:
    """The result of a second request on a connection whose first request got a response."""
    with Endpoint(script) as endpoint:
        run = Run(host_ports=f"127.0.0.1:{endpoint.port}", journals=Path(), endpoints=1)
        with Transport(policy=run.policy) as transport:
            first, second = (
                transport.post(endpoint.url(), body=BODY, headers={}, deadline_seconds=one)
                for one in (60, seconds)
            )
        assert endpoint.connections == 1
    assert not isinstance(first, Failure)
    assert isinstance(second, Failure)
    return second


@pytest.mark.parametrize("ending", [hanging, lambda conversation: None], ids=["hangs", "closes"])
@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_a_byte_of_a_response_on_a_used_connection_proves_that_our_network_works(
    begun: bytes, ending: Any
) -> None:
    def script(conversation: Any) -> None:
        conversation.read_request()
        conversation.send(response("200 OK"))
        conversation.read_request()
        conversation.send(begun)
        ending(conversation)

    until_in_time(lambda seconds: second_of_one_connection(script, seconds).reached is Reached.HOST)


@pytest.mark.parametrize(
    ("script", "reached"),
    [
        pytest.param(hanging, Reached.HOST, id="no answer"),
        pytest.param(lambda conversation: None, Reached.HOST, id="closes at once"),
        pytest.param(
            lambda conversation: conversation.send(b"no HTTP\r\n\r\n"), Reached.HOST, id="no HTTP"
        ),
    ],
)
def test_a_connection_that_came_about_proves_that_our_network_works(
    script: Any, reached: Reached
) -> None:
    def attempt(seconds: float) -> bool:
        with Endpoint(script) as endpoint:
            run = Run(host_ports=f"127.0.0.1:{endpoint.port}", journals=Path(), endpoints=1)
            with Transport(policy=run.policy) as transport:
                url = endpoint.url()
                result = transport.post(url, body=BODY, headers={}, deadline_seconds=seconds)
        assert isinstance(result, Failure)
        return result.reached is reached

    until_in_time(attempt)


def test_of_several_addresses_one_that_refuses_proves_that_our_network_works() -> None:
    with dead(ADDRESSES[:1]) as (host_port,):
        port = int(host_port.rpartition(":")[2])
        name = "hooks.example.com"
        run = Run(host_ports=f"{name}:{port}", journals=Path(), endpoints=1)
        both = lambda target, seconds: [UNUSED, "127.0.0.1"]  # noqa: E731

        def attempt(seconds: float) -> bool:
            with Transport(policy=run.policy, resolver=both) as transport:
                result = transport.post(
                    f"http://{name}:{port}/", body=BODY, headers={}, deadline_seconds=seconds
                )
            assert isinstance(result, Failure)
            assert result.hosts == {name, "127.0.0.1", UNUSED}
            return result.reached is Reached.HOST

        until_in_time(attempt)


# Linux never has a TCP route to it, whatever networks the machine has.
NO_WAY = "255.255.255.255"


@pytest.mark.parametrize("is_last", [True, False])
def test_an_address_without_a_way_to_it_does_not_hide_what_another_one_showed(
    *, is_last: bool
) -> None:
    """Otherwise a stray DNS entry of a customer would make every failure a sender error."""
    name = "hooks.example.com"
    with closed_port("127.0.0.1") as port:
        run = Run(host_ports=f"{name}:{port}", journals=Path(), endpoints=1)
        addresses = ["127.0.0.1", NO_WAY] if is_last else [NO_WAY, "127.0.0.1"]
        with Transport(policy=run.policy, resolver=lambda target, seconds: addresses) as transport:
            result = transport.post(
                f"http://{name}:{port}/", body=BODY, headers={}, deadline_seconds=60
            )
    assert isinstance(result, Failure)
    assert (result.reached, result.attribution) == (Reached.HOST, Attribution.RECEIVER)
    assert result.detail == "connection refused"


def canary_of(*addresses: tuple[socket.AddressFamily, str], port: int) -> SystemResolver:
    """A resolver whose canary has these addresses."""
    found = [(family, socket.SOCK_STREAM, 0, "", (one, port)) for family, one in addresses]
    return SystemResolver(canary="canary.example.com", lookup=lambda name, port: found)


def test_one_address_of_the_canary_is_enough_however_many_dead_ones_come_before_it() -> None:
    """As with dead IPv6 addresses where only IPv6 is broken."""
    addresses = [(socket.AF_INET, one) for one in (*["127.0.0.1"] * 7, "127.0.0.2")]
    with black_hole("127.0.0.1") as port:
        assert canary_of(*addresses[:-1], port=port).reaches_canary() is False
        assert canary_of(*addresses, port=port).reaches_canary() is True


def test_an_address_of_the_canary_for_which_this_machine_has_no_socket_is_no_error() -> None:
    """As with IPv6 where the kernel has it disabled."""
    other = (socket.AF_APPLETALK, "no address")
    with closed_port("127.0.0.1") as port:
        assert canary_of(other, (socket.AF_INET, "127.0.0.1"), port=port).reaches_canary() is True
        assert canary_of(other, port=port).reaches_canary() is False


def test_a_canary_responds_when_a_connection_to_it_comes_about_or_is_refused() -> None:
    with Endpoint(answering(response("200 OK"))) as endpoint, refusing() as (closed, *_):
        found = [
            SystemResolver(canary=one).reaches_canary()
            for one in (f"127.0.0.1:{endpoint.port}", closed, "canary.invalid:1", None)
        ]
    assert found == [True, True, False, None]
