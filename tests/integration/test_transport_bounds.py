"""A receiver's response costs a bounded amount of work, and its texts reach no log."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import pytest

from sync.domain.responses import ErrorKind, Failure, Response
from sync.http.addresses import AddressPolicy
from sync.http.transport import Transport
from sync.http.urls import Target
from tests.support.dead_hosts import closed_port
from tests.support.hostile import Conversation, Endpoint, answering, response
from tests.support.sending import BODY, NAME, kind_of, post, status_of, transport_to

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunks(count: int, piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) * count


def endless(head: bytes, piece: bytes) -> Callable[[Conversation], None]:
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(head)
        while not conversation.stopping.is_set():
            conversation.send(piece * 1000)

    return script


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(CHUNKED, b"1\r\nx\r\n", id="chunks of one byte"),
        pytest.param(CHUNKED, b"1;" + b"e" * 900 + b"\r\nx\r\n", id="chunk extensions"),
        pytest.param(CHUNKED + b"0\r\n", b"X: y\r\n", id="trailers"),
        pytest.param(CHUNKED + b"0\r\n", b"X: " + b"y" * 9000 + b"\r\n", id="large trailers"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b"y", id="no length"),
    ],
)
def test_a_body_without_end_is_left_long_before_the_deadline(head: bytes, piece: bytes):
    with Endpoint(endless(head, piece)) as endpoint:
        result = post(endpoint, deadline_seconds=120)
    assert status_of(result) == 200
    assert result.duration_ms < 60_000


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 9000 + b"\r\n", id="large headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: y", b"\r\n y", id="a folded header"),
    ],
)
def test_a_head_without_end_is_given_up_long_before_the_deadline(head: bytes, piece: bytes):
    with Endpoint(endless(head, piece)) as endpoint:
        result = post(endpoint, deadline_seconds=120)
    assert kind_of(result) is ErrorKind.HTTP
    assert result.duration_ms < 60_000


def test_a_head_of_six_kilobytes_a_line_is_read_and_one_of_nine_is_not():
    head = "X-Policy: " + "p" * 6_000 + "\r\n"
    good = response("200 OK").replace(b"\r\n", f"\r\n{head * 4}".encode(), 1)
    with Endpoint(answering(good)) as endpoint:
        assert status_of(post(endpoint)) == 200
    with Endpoint(answering(good.replace(b"p" * 6_000, b"p" * 9_000, 1))) as endpoint:
        assert kind_of(post(endpoint)) is ErrorKind.HTTP


@pytest.mark.parametrize("head", [b"X: a\rContent-Length: 0\r\n", b"X: " + b"\r" * 900 + b"\r\n"])
def test_a_carriage_return_within_a_line_is_not_http(head: bytes):
    """http.client reads it as a line break: one header would become two, or thousands."""
    with Endpoint(answering(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")) as endpoint:
        assert kind_of(post(endpoint)) is ErrorKind.HTTP


@pytest.mark.parametrize(
    ("body", "connections"),
    [
        pytest.param(chunks(40, b"x" * 1369) + END, 1, id="as it comes in TLS records"),
        pytest.param(chunks(100, b"x") + END, 1, id="some small chunks"),
        pytest.param(chunks(1, b"x") + b"0\r\nX-Sum: 1\r\n\r\n", 1, id="a trailer"),
        pytest.param(chunks(30_000, b"x") + END, 2, id="very many chunks"),
    ],
)
def test_a_connection_is_used_again_where_that_costs_little(body: bytes, connections: int):
    with (
        Endpoint(answering(CHUNKED + body)) as endpoint,
        transport_to(("127.0.0.1", endpoint.port)) as transport,
    ):
        for _ in range(2):
            result = transport.post(endpoint.url(), body=BODY, headers={}, deadline_seconds=60)
            assert status_of(result) == 200
        assert endpoint.connections == connections


HOSTILE_HEADS = [
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nnonsense\r\n\r\n", id="no colon"),
    pytest.param(b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n", id="no name"),
    pytest.param(b"HTTP/1.1 200 OK\r\n continued\r\nContent-Length: 0\r\n\r\n", id="folded"),
    pytest.param(b"HTTP/1.1 200 OK\r\nA b: c\r\nContent-Length: 0\r\n\r\n", id="blank in name"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: \xff\x00\r\nContent-Length: 0\r\n\r\n", id="no text"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        id="two lengths",
    ),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x; boundary=x\r\n\r\n", id="parts"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n", id="lengths in conflict"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", id="length is no number"),
    pytest.param(b"HTTP/1.1 307 No\r\nLocation: https://x/?token=canary\r\n\r\n", id="redirect"),
    pytest.param(b"HTTP/1.1 200 OK\r\nSet-Cookie: canary\r\nX\r\n\r\n", id="cookie"),
    pytest.param(b"nonsense canary\r\n\r\n", id="another protocol"),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n", id="no chunk"),
    pytest.param(b"", id="closed"),
]


@pytest.mark.parametrize("head", HOSTILE_HEADS)
def test_no_library_logs_the_url_of_an_endpoint_or_what_it_says(
    head: bytes, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
):
    """A URL's path and query are often the receiver's only secret."""

    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(head)

    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    try:
        with (
            Endpoint(script) as endpoint,
            transport_to(("127.0.0.1", endpoint.port)) as transport,
        ):
            for send in (transport.post, transport.post_for_body):
                send(
                    endpoint.url(path="/in/canary-path?token=canary"),
                    body=BODY,
                    headers={"Authorization": "Bearer canary"},
                    deadline_seconds=60,
                )
    finally:
        logging.getLogger("urllib3").setLevel(logging.NOTSET)
    assert "canary" not in caplog.text + "".join(str(one.message) for one in recwarn)


def test_what_else_uses_urllib3_goes_on_logging(caplog: pytest.LogCaptureFixture):
    with Endpoint(answering(response("200 OK"))) as endpoint:
        assert status_of(post(endpoint)) == 200
    with caplog.at_level(logging.WARNING):
        logging.getLogger("urllib3.connection").warning("somebody else's")
    assert "somebody else's" in caplog.text


def transport_for(port: int, addresses: list[str]) -> Transport:
    def resolver(target: Target, timeout_seconds: float) -> list[str]:
        return addresses

    policy = AddressPolicy(development_targets=frozenset({(NAME, port)}))
    return Transport(policy=policy, resolver=resolver)


def test_a_name_with_thousands_of_addresses_makes_a_few_connections(
    monkeypatch: pytest.MonkeyPatch,
):
    tried: list[str] = []
    connect = socket.socket.connect

    def noting(sock: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[0])
        connect(sock, address)

    addresses = [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(2_000)]
    with closed_port(addresses[0]) as port, transport_for(port, addresses) as transport:
        monkeypatch.setattr("socket.socket.connect", noting)
        result = transport.post(f"http://{NAME}:{port}/", body=BODY, headers={})
    assert isinstance(result, Failure)
    assert result.error_kind is ErrorKind.CONNECT
    assert tried == addresses[:8]


def test_the_second_of_thousands_of_addresses_serves():
    # No test listens at the first one.
    addresses = ["127.1.1.1", "127.0.0.1", *(f"127.1.0.{n}" for n in range(1, 200))]
    with (
        Endpoint(answering(response("200 OK"))) as endpoint,
        transport_for(endpoint.port, addresses) as transport,
    ):
        result = transport.post(endpoint.url(NAME), body=BODY, headers={})
    assert isinstance(result, Response)
