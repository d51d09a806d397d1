"""One deadline over everything: no endpoint can hold a request longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from sync.domain.responses import ErrorKind, Failure, Response
from sync.http.transport import Transport
from tests.support.hostile import Conversation, Endpoint, Script, response
from tests.support.sending import BODY, NAME, kind_of, post, status_of, transport_to, until_in_time
from tests.support.tls import Authority

PATIENCE = 15
"""Seconds, half the time that the peers here hold a request; a slow machine needs far less."""


@pytest.fixture
def opened() -> Iterator[list[Transport]]:
    transports: list[Transport] = []
    yield transports
    for transport in transports:
        transport.close()


def timed(endpoint: Endpoint, *, deadline_seconds: float) -> tuple[Response | Failure, float]:
    started = time.monotonic()
    result = post(endpoint, deadline_seconds=deadline_seconds)
    return result, time.monotonic() - started


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(b"", ErrorKind.TIMEOUT, id="silence"),
        pytest.param(b"HTTP/1.1 200 OK", ErrorKind.TOO_SLOW, id="half a status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-A: b", ErrorKind.TOO_SLOW, id="half a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-A: b\r\n", ErrorKind.TOO_SLOW, id="no end of head"),
    ],
)
def test_a_response_without_a_whole_head_in_time_is_no_delivery(data: bytes, kind: ErrorKind):
    """http.client once returned the 200 of a truncated head as a normal response."""

    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(data)
        conversation.stopping.wait(60)

    def attempt(deadline: float) -> bool:
        with Endpoint(script) as endpoint:
            result, seconds = timed(endpoint, deadline_seconds=deadline)
        assert kind_of(result) in (kind, ErrorKind.TIMEOUT)
        assert seconds < deadline + PATIENCE
        return kind_of(result) is kind

    until_in_time(attempt)


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\nX-A: b\r\n"])
def test_a_connection_closed_within_the_head_of_a_200_is_no_delivery(data: bytes):
    def closing_after(data: bytes) -> Script:
        def script(conversation: Conversation) -> None:
            conversation.read_request()
            conversation.send(data)

        return script

    with Endpoint(closing_after(data)) as endpoint:
        assert kind_of(post(endpoint)) is ErrorKind.CONNECT
    with Endpoint(closing_after(data + b"\r\n\r\n")) as endpoint:
        assert status_of(post(endpoint)) == 200


def test_a_head_that_drips_cannot_outlast_the_deadline():
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(b"HTTP/1.1 200 OK\r\n")
        conversation.drip(b"X-Drip: 1\r\n")

    def attempt(deadline: float) -> bool:
        with Endpoint(script) as endpoint:
            result, seconds = timed(endpoint, deadline_seconds=deadline)
        assert kind_of(result) in (ErrorKind.TOO_SLOW, ErrorKind.TIMEOUT)
        assert seconds < deadline + PATIENCE
        return kind_of(result) is ErrorKind.TOO_SLOW

    until_in_time(attempt)


@pytest.mark.parametrize("head", [b"Content-Length: 999999", b"Connection: close"])
def test_a_body_that_drips_ends_at_the_deadline_and_the_response_counts(head: bytes):
    """With ``Connection: close``, the library detaches its socket while the body is read."""

    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        conversation.drip(b"z")

    def attempt(deadline: float) -> bool:
        with Endpoint(script) as endpoint:
            result, seconds = timed(endpoint, deadline_seconds=deadline)
        assert 0.9 * deadline < seconds < deadline + PATIENCE
        if isinstance(result, Failure):
            assert result.error_kind is ErrorKind.TIMEOUT
            return False
        return result.status == 200

    until_in_time(attempt)


def test_a_late_deadline_does_not_cut_a_connection_that_serves_the_next_request():
    """Connections return to the pool before their deadline passes; the next user owns them."""

    def attempt(deadline: float) -> bool:
        gate = threading.Event()

        def script(conversation: Conversation) -> None:
            conversation.read_request()
            conversation.send(response("200 OK"))
            conversation.read_request()
            gate.wait(60)
            conversation.send(response("201 Created"))

        with (
            Endpoint(script) as endpoint,
            transport_to(("127.0.0.1", endpoint.port)) as transport,
        ):
            url = endpoint.url()
            first = transport.post(url, body=BODY, headers={}, deadline_seconds=deadline)
            if isinstance(first, Failure):
                assert first.error_kind is ErrorKind.TIMEOUT
                return False
            threading.Timer(1.5 * deadline, gate.set).start()
            second = transport.post(url, body=BODY, headers={}, deadline_seconds=120)
            assert (status_of(first), status_of(second)) == (200, 201)
            assert endpoint.connections == 1
            return True

    until_in_time(attempt)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("is_tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("reads", [True, False], ids=["reads and is silent", "reads nothing"])
def test_a_connection_that_is_used_again_ends_at_the_deadline_as_well(
    opened: list[Transport], authority: Authority, is_tls: bool, reads: bool
):
    """A connected socket has no timeout of its own, and its buffer can fill up."""

    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(response("200 OK"))
        if reads:
            conversation.read_request()
        conversation.stopping.wait(30)

    context = authority.server_context(NAME) if is_tls else None
    with Endpoint(script, tls=context) as endpoint:
        opened.append(transport_to((NAME, endpoint.port), ca_file=authority.ca_file))
        url = endpoint.url(NAME)
        assert status_of(opened[0].post(url, body=BODY, headers={}, deadline_seconds=60)) == 200
        started = time.monotonic()
        second = opened[0].post(url, body=BODY * 100_000, headers={}, deadline_seconds=1)
        assert kind_of(second) is ErrorKind.TIMEOUT
        assert 0.9 < time.monotonic() - started < PATIENCE
        assert endpoint.connections == 1
