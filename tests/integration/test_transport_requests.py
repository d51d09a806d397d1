"""What the transport sends, and what it ignores in its environment."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sync.domain.responses import Attribution, ErrorKind, Failure
from sync.http.transport import Transport
from tests.support.hostile import Endpoint, answering, response
from tests.support.sending import BODY, kind_of, post, status_of, transport_to


@pytest.fixture
def opened() -> Iterator[list[Transport]]:
    transports: list[Transport] = []
    yield transports
    for transport in transports:
        transport.close()


def test_the_body_arrives_byte_for_byte_with_our_headers_and_the_callers():
    received: list[bytes] = []
    with Endpoint(answering(response("200 OK"), received)) as endpoint:
        result = post(endpoint, headers={"webhook-id": "msg_1"})
    assert status_of(result) == 200
    head, _, body = received[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert body == BODY
    assert lines[0] == "post /in http/1.1"
    assert f"host: 127.0.0.1:{endpoint.port}" in lines
    assert "user-agent: learningtimewebhooks/1.0" in lines
    assert "accept-encoding: identity" in lines
    assert "content-type: application/json" in lines
    assert "webhook-id: msg_1" in lines
    assert sum(line.startswith("host:") for line in lines) == 1


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Accept-Encoding",
        "EXPECT",
    ],
)
def test_a_caller_cannot_change_framing_or_destination_by_a_header(name: str):
    with (
        Endpoint(answering(response("200 OK"))) as endpoint,
        pytest.raises(ValueError, match=name.lower()),
    ):
        post(endpoint, headers={name: "1"})
    assert endpoint.connections == 0


def test_a_header_that_would_split_the_message_is_a_sender_error_and_is_not_sent():
    with Endpoint(answering(response("200 OK"))) as endpoint:
        result = post(endpoint, headers={"Authorization": "Bearer a\r\nx: y"})
    assert kind_of(result) is ErrorKind.INTERNAL
    assert isinstance(result, Failure)
    assert result.attribution is Attribution.SENDER
    assert endpoint.connections == 0


def test_proxies_and_netrc_of_the_environment_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "absent.pem"))
    received: list[bytes] = []
    with Endpoint(answering(response("200 OK"), received)) as endpoint:
        assert status_of(post(endpoint)) == 200
    assert b"authorization" not in received[0].lower()


def test_cookies_are_not_carried_from_one_request_to_the_next(opened: list[Transport]):
    received: list[bytes] = []
    with Endpoint(answering(response("200 OK", Set_Cookie="a=b; Path=/"), received)) as endpoint:
        opened.append(transport_to(("127.0.0.1", endpoint.port)))
        for _ in range(2):
            opened[0].post(endpoint.url(), body=BODY, headers={}, deadline_seconds=60)
    assert len(received) == 2
    assert b"cookie" not in received[1].lower()


def test_connections_to_one_endpoint_are_reused(opened: list[Transport]):
    with Endpoint(answering(response("200 OK", b"fine"))) as endpoint:
        opened.append(transport_to(("127.0.0.1", endpoint.port)))
        for _ in range(5):
            opened[0].post(endpoint.url(), body=BODY, headers={}, deadline_seconds=60)
        assert endpoint.connections == 1


def test_one_transport_serves_many_threads(opened: list[Transport]):
    received: list[bytes] = []
    with Endpoint(answering(response("200 OK"), received)) as endpoint:
        opened.append(transport_to(("127.0.0.1", endpoint.port)))

        def send(number: int) -> int:
            body = f'{{"n":{number}}}'.encode()
            return status_of(
                opened[0].post(endpoint.url(), body=body, headers={}, deadline_seconds=60)
            )

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(send, range(200))) == {200}
    bodies = {request.partition(b"\r\n\r\n")[2] for request in received}
    assert len(bodies) == len(received) == 200
    assert endpoint.connections <= 16
