"""A refused token, with a real token server and a real receiver on loopback."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sync.domain.responses import Response
from sync.http.authorization import Authorizer, post_authorized
from sync.http.oauth import TokenSource
from sync.http.transport import Transport
from tests.support.hostile import Conversation, Endpoint, response
from tests.support.oauth_endpoints import oauth_endpoint, secrets_for
from tests.support.sending import transport_to
from tests.support.token_server import TokenServer


def refusing(refused: set[str], received: list[str]):
    """A webhook receiver that responds with 401 to these tokens and echoes the request."""

    def script(conversation: Conversation) -> None:
        while request := conversation.read_request():
            head = request.partition(b"\r\n\r\n")[0].decode()
            token = head.partition("Bearer ")[2].partition("\r\n")[0]
            received.append(token)
            status = "401 Unauthorized" if token in refused else "200 OK"
            conversation.send(response(status, f"Bearer {token} alias {token}".encode()))

    return script


def deliver(server: TokenServer, receiver: Endpoint, source: Authorizer, transport: Transport):
    return post_authorized(
        transport,
        source,
        oauth_endpoint(url=receiver.url(), token_url=server.url),
        body=b"{}",
        headers=lambda: {"webhook-id": "1"},
        deadline_seconds=60,
    )


@pytest.mark.parametrize(
    ("refused", "seen", "status"),
    [
        pytest.param(set(), ["token-1"], 200, id="taken"),
        pytest.param({"token-1"}, ["token-1", "token-2"], 200, id="refused once"),
        pytest.param({"token-1", "token-2"}, ["token-1", "token-2"], 401, id="refused again"),
    ],
)
def test_a_401_costs_one_new_token_and_one_more_try_and_no_more(
    server: TokenServer, refused: set[str], seen: list[str], status: int
):
    received: list[str] = []
    with Endpoint(refusing(refused, received)) as receiver:
        ports = [("127.0.0.1", server.port), ("127.0.0.1", receiver.port)]
        with transport_to(*ports) as transport:
            source = Authorizer(TokenSource(transport, secrets_for(7)), secrets_for(7))
            result = deliver(server, receiver, source, transport)
    assert isinstance(result, Response)
    assert result.status == status
    assert received == seen
    assert server.asked == len(seen)
    assert "token-" not in result.excerpt


def test_many_401s_of_one_token_fetch_one_new_token(server: TokenServer):
    received: list[str] = []
    with Endpoint(refusing({"token-1"}, received)) as receiver:
        ports = [("127.0.0.1", server.port), ("127.0.0.1", receiver.port)]
        with transport_to(*ports) as transport, ThreadPoolExecutor(8) as pool:
            source = Authorizer(TokenSource(transport, secrets_for(7)), secrets_for(7))
            sends = [pool.submit(deliver, server, receiver, source, transport) for _ in range(16)]
            results = [one.result(30) for one in sends]
    assert [one.status for one in results if isinstance(one, Response)] == [200] * 16
    assert server.asked == 2
    assert received.count("token-2") == 16
