"""Tokens from a real token server on loopback, through the real transport."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Semaphore
from typing import Any

import pytest

from sync.domain.responses import Attribution, ErrorKind, Failure
from sync.domain.routing import Endpoint as Configuration
from sync.http.oauth import Bearer, Misconfigured, TokenSource
from sync.http.secrets import environment_variable
from sync.http.transport import MAX_BODY_BYTES, Transport
from tests.support.hostile import Conversation, Endpoint, answering, response
from tests.support.oauth_endpoints import CLIENT_SECRET, oauth_endpoint, secrets_for
from tests.support.sending import transport_to, until_in_time
from tests.support.token_server import TokenServer, granted, token_server

HELD_BACK_SECONDS = 0.3


@pytest.fixture
def transport(server: TokenServer) -> Iterator[Transport]:
    with transport_to(("127.0.0.1", server.port)) as opened:
        yield opened


@pytest.fixture
def endpoint(server: TokenServer) -> Configuration:
    return oauth_endpoint(token_url=server.url)


@pytest.fixture
def tokens(transport: Transport) -> TokenSource:
    return TokenSource(transport, secrets_for(7))


def header(authorization: Bearer | Misconfigured | Failure) -> str:
    assert isinstance(authorization, Bearer), authorization
    return authorization.header


def test_the_request_is_the_partners_json_and_the_token_is_kept(
    server: TokenServer, tokens: TokenSource, endpoint: Configuration
):
    for _ in range(3):
        assert header(tokens.authorization(endpoint)) == "Bearer token-1"
    assert server.bodies == [
        {
            "client_id": "client-a",
            "client_secret": CLIENT_SECRET,
            "grant_type": "client_credentials",
            "scope": "api",
        }
    ]
    assert server.heads[0].startswith("POST /token HTTP/1.1\r\n")
    assert "content-type: application/json" in server.heads[0].lower()


def test_first_requests_that_come_together_fetch_once(
    server: TokenServer, tokens: TokenSource, endpoint: Configuration
):
    server.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(tokens.authorization, endpoint) for _ in range(8)]
        assert server.was_asked.wait(60)
        server.gate.set()
        assert {header(one.result(60)) for one in waiting} == {"Bearer token-1"}
    assert server.asked == 1


def test_requests_that_wait_together_fail_together(
    server: TokenServer,
    tokens: TokenSource,
    endpoint: Configuration,
    monkeypatch: pytest.MonkeyPatch,
):
    have_joined = Semaphore(0)

    class Joined(Future[Any]):
        def result(self, timeout: float | None = None) -> Any:
            have_joined.release()
            return super().result(timeout)

    monkeypatch.setattr("sync.http.oauth.Future", Joined)
    server.answer = response("503 Busy")
    server.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(tokens.authorization, endpoint) for _ in range(4)]
        assert server.was_asked.wait(60)
        # One that came after the response would ask for itself.
        assert all(have_joined.acquire(timeout=60) for _ in range(3))
        server.gate.set()
        assert all(isinstance(one.result(60), Failure) for one in waiting)
    assert server.asked == 1


def test_a_hanging_token_server_keeps_back_no_other_endpoint(server: TokenServer):
    server.gate.clear()
    with token_server() as healthy:
        ports = [("127.0.0.1", one.port) for one in (server, healthy)]
        with transport_to(*ports) as transport, ThreadPoolExecutor(1) as pool:
            tokens = TokenSource(transport, secrets_for(7, 8))
            stuck = pool.submit(tokens.authorization, oauth_endpoint(7, token_url=server.url), 60)
            assert server.was_asked.wait(60)
            other = tokens.authorization(oauth_endpoint(8, token_url=healthy.url))
            assert header(other) == "Bearer token-1"
            assert not stuck.done()
            server.gate.set()
            stuck.result(60)


def test_a_token_server_that_hangs_is_given_up_at_the_deadline(
    server: TokenServer, tokens: TokenSource, endpoint: Configuration
):
    server.gate.clear()
    started = time.monotonic()
    result = tokens.authorization(endpoint, HELD_BACK_SECONDS)
    assert time.monotonic() - started < 15, "the server would hold it for 30 s"
    assert isinstance(result, Failure)
    assert (result.error_kind, result.attribution) == (ErrorKind.TIMEOUT, Attribution.RECEIVER)


def test_whoever_waits_for_anothers_request_keeps_to_its_own_deadline(
    server: TokenServer, tokens: TokenSource, endpoint: Configuration
):
    server.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(tokens.authorization, endpoint)
        assert server.was_asked.wait(60)
        result = tokens.authorization(endpoint, HELD_BACK_SECONDS)
        assert not asking.done()
        server.gate.set()
        assert header(asking.result(60)) == "Bearer token-1"
    assert isinstance(result, Failure)
    assert (result.error_kind, result.attribution) == (ErrorKind.TIMEOUT, Attribution.RECEIVER)
    assert server.asked == 1


def endless(conversation: Conversation) -> None:
    conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    conversation.send(b'{"access_token": "abc", "expires_in": 3600, "padding": "')
    while not conversation.stopping.is_set():
        conversation.send(b"y" * 65536)


def dripping(conversation: Conversation) -> None:
    conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    conversation.drip(b'{"access_token": "abc", ')


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        pytest.param(response("500 Oops"), ErrorKind.HTTP, "status 500", id="500"),
        pytest.param(response("401 No"), ErrorKind.HTTP, "status 401", id="401"),
        pytest.param(response("410 Gone"), ErrorKind.HTTP, "status 410", id="410"),
        pytest.param(response("200 OK", b"<html>"), ErrorKind.HTTP, "JSON", id="no JSON"),
        pytest.param(
            response("200 OK", b'{"expires_in": 5}'), ErrorKind.HTTP, "access_token", id="no token"
        ),
        pytest.param(endless, ErrorKind.HTTP, "JSON", id="a huge body"),
        pytest.param(dripping, ErrorKind.HTTP, "JSON", id="a dripping body"),
        pytest.param(b"", ErrorKind.TIMEOUT, "deadline", id="no answer"),
    ],
)
def test_a_bad_response_is_a_failure_to_be_retried(
    server: TokenServer,
    tokens: TokenSource,
    endpoint: Configuration,
    answer: bytes,
    kind: ErrorKind,
    text: str,
):
    server.answer = answer

    def attempt(seconds: float) -> bool:
        result = tokens.authorization(endpoint, seconds)
        assert isinstance(result, Failure)
        if kind is not ErrorKind.TIMEOUT and result.error_kind is ErrorKind.TIMEOUT:
            return False
        assert (result.error_kind, result.attribution) == (kind, Attribution.RECEIVER)
        assert text in result.detail
        return True

    until_in_time(attempt)
    server.answer = None
    assert header(tokens.authorization(endpoint)).startswith("Bearer token-")


def test_a_redirect_is_not_followed_and_the_secret_goes_nowhere(
    server: TokenServer, tokens: TokenSource, endpoint: Configuration
):
    received: list[bytes] = []
    with Endpoint(answering(granted("stolen"), received)) as elsewhere:
        server.answer = response("307 Moved", Location=elsewhere.url())
        result = tokens.authorization(endpoint)
    assert isinstance(result, Failure)
    assert result.error_kind is ErrorKind.REDIRECT
    assert received == []


def test_a_token_url_inside_the_network_is_refused_and_gets_nothing(
    server: TokenServer, transport: Transport
):
    with token_server() as inside:
        tokens = TokenSource(transport, secrets_for(7))
        result = tokens.authorization(oauth_endpoint(token_url=inside.url))
        assert inside.asked == 0
    assert isinstance(result, Failure)
    assert result.error_kind is ErrorKind.INVALID_TARGET
    assert result.detail.startswith("token endpoint: ")


def test_a_rotated_secret_fetches_a_new_token(
    server: TokenServer, transport: Transport, endpoint: Configuration
):
    secrets = secrets_for(7, secret="old")
    tokens = TokenSource(transport, secrets)
    assert header(tokens.authorization(endpoint)) == "Bearer token-1"
    assert isinstance(secrets.environment, dict)
    secrets.environment[environment_variable("oauth-client-7")] = "new"
    for _ in range(2):
        assert header(tokens.authorization(endpoint)) == "Bearer token-2"
    assert [body["client_secret"] for body in server.bodies] == ["old", "new"]


def test_nothing_that_is_written_down_shows_a_token_or_a_secret(
    server: TokenServer,
    tokens: TokenSource,
    endpoint: Configuration,
    transport: Transport,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.DEBUG)
    shown = []
    for answer in (
        granted("canary-token"),
        response("400 Bad", json.dumps({"error": "canary-token", "was": CLIENT_SECRET}).encode()),
    ):
        server.answer = answer
        shown.append(repr(tokens.authorization(endpoint)))
        shown.append(
            repr(transport.post_for_body(server.url, body=b"{}", headers={}, deadline_seconds=60))
        )
        tokens.invalidate(endpoint, Bearer("Bearer canary-token"))
    assert "canary" not in "".join(shown) + caplog.text


def test_a_body_read_whole_ends_at_the_cap(server: TokenServer, transport: Transport):
    server.answer = endless
    result = transport.post_for_body(server.url, body=b"{}", headers={}, deadline_seconds=60)
    assert not isinstance(result, Failure)
    assert len(result.body) == MAX_BODY_BYTES
