"""Interim responses are not final (RFC 9110, 15.2), regardless of their number and kind."""

from __future__ import annotations

import time

import pytest

from sync.domain.responses import ErrorKind, Response, ResponseWithBody
from sync.http.transport import Transport
from tests.support.hostile import Conversation, Endpoint, answering, response
from tests.support.sending import BODY, kind_of, post, status_of, transport_to

ROUNDS = 2


def interim(status: int, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Wait", *lines, "", ""]).encode()


def send_to(transport: Transport, endpoint: Endpoint) -> int:
    return status_of(transport.post(endpoint.url(), body=BODY, headers={}, deadline_seconds=60))


@pytest.mark.parametrize(
    "before",
    [
        pytest.param([interim(100)], id="100"),
        pytest.param([interim(102)], id="102"),
        pytest.param([interim(103, "Link: </a>; rel=preload")], id="103"),
        pytest.param([interim(104, "Upload-Offset: 1")], id="104"),
        pytest.param([interim(199)], id="unknown"),
        pytest.param([interim(one) for one in (100, 103, 100, 102, 103, 150)], id="several"),
        pytest.param([interim(102)] * 60, id="one a second for a minute"),
        pytest.param([interim(103, "Content-Length: 5")], id="with a length"),
        pytest.param([interim(103, "Transfer-Encoding: chunked")], id="as if chunked"),
        pytest.param([interim(103, "Connection: close")], id="as if it closed"),
        pytest.param([b"HTTP/1.1 103\r\n\r\n"], id="without a reason"),
    ],
)
def test_the_response_after_interim_ones_counts_and_the_connection_serves_on(before: list[bytes]):
    received: list[bytes] = []
    script = answering(b"".join(before) + response("201 Created", b"done"), received)
    with Endpoint(script) as endpoint, transport_to(("127.0.0.1", endpoint.port)) as transport:
        assert [send_to(transport, endpoint) for _ in range(ROUNDS)] == [201] * ROUNDS
        assert endpoint.connections == 1
    assert len(received) == ROUNDS


def test_a_failure_after_an_interim_response_is_that_failure():
    with Endpoint(answering(interim(103) + response("503 Busy", Retry_After="7"))) as endpoint:
        result = post(endpoint)
    assert isinstance(result, Response)
    assert (result.status, result.retry_after, result.excerpt) == (503, "7", "no body")


def test_interim_responses_may_come_one_by_one_until_the_deadline():
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        for _ in range(3):
            conversation.send(interim(102))
            conversation.stopping.wait(0.05)
        conversation.send(response("200 OK"))

    with Endpoint(script) as endpoint:
        assert status_of(post(endpoint)) == 200


def test_a_switch_of_protocols_that_nobody_asked_for_is_final_and_ends_the_connection():
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(interim(101, "Upgrade: other") + response("200 OK"))
        conversation.stopping.wait(10)

    with Endpoint(script) as endpoint, transport_to(("127.0.0.1", endpoint.port)) as transport:
        assert [send_to(transport, endpoint) for _ in range(ROUNDS)] == [101] * ROUNDS
        assert endpoint.connections == ROUNDS


@pytest.mark.parametrize(
    "before",
    [
        pytest.param([interim(103)] * 200, id="lines"),
        pytest.param([interim(103, "X: " + "y" * 7_000)] * 6, id="bytes"),
    ],
)
def test_more_interim_responses_than_needed_are_no_response(before: list[bytes]):
    with Endpoint(answering(b"".join(before) + response("200 OK"))) as endpoint:
        assert kind_of(post(endpoint)) is ErrorKind.HTTP


@pytest.mark.parametrize("status", [100, 102, 103])
def test_a_flood_of_interim_responses_ends_long_before_the_deadline(status: int):
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        while not conversation.stopping.is_set():
            conversation.send(interim(status) * 1000)

    with Endpoint(script) as endpoint:
        result = post(endpoint, deadline_seconds=120)
    assert kind_of(result) is ErrorKind.HTTP
    assert result.duration_ms < 60_000


@pytest.mark.parametrize("status", [100, 103])
def test_interim_responses_with_endless_headers_end_long_before_the_deadline(status: int):
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        while not conversation.stopping.is_set():
            conversation.send(interim(status, *["X-Padding: " + "x" * 8000] * 5))

    with Endpoint(script) as endpoint:
        result = post(endpoint, deadline_seconds=120)
    assert kind_of(result) is ErrorKind.HTTP
    assert result.duration_ms < 60_000


@pytest.mark.parametrize("status", [100, 102, 103])
def test_interim_responses_that_drip_cannot_outlast_the_deadline(status: int):
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.drip(interim(status), every_seconds=0.02)

    with Endpoint(script) as endpoint:
        started = time.monotonic()
        result = post(endpoint, deadline_seconds=0.5)
        assert time.monotonic() - started < 15, "it would drip for ever"
    assert kind_of(result) in (ErrorKind.TIMEOUT, ErrorKind.TOO_SLOW)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(interim(103), ErrorKind.CONNECT, id="then nothing"),
        pytest.param(b"HTTP/1.1 103 Wait\r\nLink: </a>\r\n", ErrorKind.CONNECT, id="cut itself"),
        pytest.param(interim(103) + b"HTTP/1.1 200 OK\r\nX: y\r\n", ErrorKind.CONNECT, id="cut"),
        pytest.param(interim(103) + b"SSH-2.0-x\r\n", ErrorKind.HTTP, id="another protocol"),
    ],
)
def test_an_interim_response_alone_is_no_delivery(data: bytes, kind: ErrorKind):
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(data)

    with Endpoint(script) as endpoint:
        assert kind_of(post(endpoint)) is kind


def test_a_token_behind_an_interim_response_is_read():
    answer = interim(103) + interim(100) + response("200 OK", b'{"access_token":"abc"}')
    with (
        Endpoint(answering(answer)) as endpoint,
        transport_to(("127.0.0.1", endpoint.port)) as transport,
    ):
        result = transport.post_for_body(endpoint.url(), body=b"{}", headers={})
    assert isinstance(result, ResponseWithBody)
    assert (result.status, result.body) == (200, b'{"access_token":"abc"}')
