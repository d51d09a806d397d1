"""How the transport handles responses, broken connections and data that is not HTTP."""

from __future__ import annotations

import gzip

import pytest

from sync.domain.responses import Attribution, ErrorKind, Failure, Response
from sync.http.addresses import AddressPolicy
from sync.http.transport import MAX_BODY_BYTES, Transport
from sync.http.urls import Target
from tests.support.dead_hosts import closed_port
from tests.support.hostile import Conversation, Endpoint, answering, response
from tests.support.sending import BODY, NAME, kind_of, post, status_of, transport_to


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "404 Not Found", "500 Oops"])
def test_every_complete_response_counts(status: str):
    with Endpoint(answering(response(status))) as endpoint:
        assert status_of(post(endpoint)) == int(status[:3])


def test_a_redirect_is_a_response_and_is_not_followed():
    received: list[bytes] = []
    with Endpoint(answering(response("200 OK"), received)) as inner:
        location = inner.url()
        with Endpoint(answering(response("307 Moved", Location=location))) as endpoint:
            assert status_of(post(endpoint)) == 307
    assert received == []


def test_an_endless_redirect_body_ends_at_the_cap():
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n\r\n")
        while not conversation.stopping.is_set():
            conversation.send(b"x" * 65536)

    with Endpoint(script) as endpoint:
        assert status_of(post(endpoint)) == 302


def test_retry_after_is_passed_on_as_sent():
    with Endpoint(answering(response("429 Slow", Retry_After="120"))) as endpoint:
        result = post(endpoint)
    assert isinstance(result, Response)
    assert result.retry_after == "120"


def test_of_a_long_retry_after_the_first_128_characters_are_kept():
    with Endpoint(answering(response("503 Busy", Retry_After="1" * 200))) as endpoint:
        result = post(endpoint)
    assert isinstance(result, Response)
    assert result.retry_after == "1" * 128


def test_of_a_body_that_echoes_all_it_got_only_facts_are_kept():
    echo = b'{"error":"invalid learner_90417 <learner@example.com> canary","token":"%s"}' % BODY
    answer = response("400 Bad", echo, Content_Type="application/json; x=learner@example.com")
    with Endpoint(answering(answer)) as endpoint:
        result = post(endpoint, headers={"Authorization": "Bearer canary"})
    assert isinstance(result, Response)
    assert result.excerpt == (
        "application/json, 159 bytes: error invalid learner ... learner ... token learner user id "
        "... learner ... email learner"
    )
    assert "learner" not in repr(result)


def test_a_huge_body_is_read_to_the_cap_and_the_response_counts():
    sent = 0

    def script(conversation: Conversation) -> None:
        nonlocal sent
        conversation.read_request()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while not conversation.stopping.is_set():
            conversation.send(b"y" * 65536)
            sent += 65536

    with Endpoint(script) as endpoint:
        result = post(endpoint)
    assert isinstance(result, Response)
    assert result.status == 200
    assert result.excerpt == "no media type, 65536 bytes or more"
    # Socket buffers hold a few megabytes; what matters is that reading stops.
    assert sent < 100 * MAX_BODY_BYTES


def test_a_compressed_bomb_is_never_unpacked():
    bomb = gzip.compress(b"\0" * 50_000_000)
    answer = response("200 OK", bomb, Content_Encoding="gzip")
    with Endpoint(answering(answer)) as endpoint:
        result = post(endpoint)
    assert isinstance(result, Response)
    assert result.excerpt == f"no media type, {len(bomb)} bytes, encoded"


def test_a_body_shorter_than_announced_changes_nothing():
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    with Endpoint(script) as endpoint:
        assert status_of(post(endpoint)) == 200


def test_a_closed_port_is_a_failed_connection_of_theirs():
    with closed_port("127.0.0.1") as port, transport_to(("127.0.0.1", port)) as transport:
        result = transport.post(
            f"http://127.0.0.1:{port}/", body=BODY, headers={}, deadline_seconds=60
        )
    assert isinstance(result, Failure)
    assert (result.error_kind, result.attribution) == (ErrorKind.CONNECT, Attribution.RECEIVER)
    assert result.detail == "connection refused"


def reset(conversation: Conversation) -> None:
    conversation.reset()


def reset_after_reading(conversation: Conversation) -> None:
    conversation.read_request()
    reset(conversation)


def close_after_reading(conversation: Conversation) -> None:
    conversation.read_request()


@pytest.mark.parametrize("script", [reset, reset_after_reading, close_after_reading])
def test_a_connection_that_breaks_before_the_response_is_a_failed_connection(script):
    with Endpoint(script) as endpoint:
        result = post(endpoint)
    assert kind_of(result) is ErrorKind.CONNECT


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 abc\r\n\r\n", id="status is no number"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n", id="too many headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", id="a huge header"),
    ],
)
def test_what_is_not_http_is_a_failure_and_no_exception(answer: bytes):
    def script(conversation: Conversation) -> None:
        conversation.read_request()
        conversation.send(answer)

    with Endpoint(script) as endpoint:
        assert kind_of(post(endpoint)) is ErrorKind.HTTP


def first_refusing(target: Target, timeout_seconds: float) -> list[str]:
    """No test listens at the first one."""
    return ["127.1.1.1", "127.0.0.1"]


def test_the_next_vetted_address_is_tried_when_one_refuses():
    received: list[bytes] = []
    with Endpoint(answering(response("200 OK"), received)) as endpoint:
        transport = Transport(
            policy=AddressPolicy(development_targets=frozenset({(NAME, endpoint.port)})),
            resolver=first_refusing,
        )
        with transport:
            result = transport.post(
                f"http://{NAME}:{endpoint.port}/", body=BODY, headers={}, deadline_seconds=60
            )
    assert status_of(result) == 200
    assert f"Host: {NAME}:{endpoint.port}".encode() in received[0]
