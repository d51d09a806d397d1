"""Which certificates the transport trusts."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable

import pytest

from sync.domain.responses import ErrorKind, Failure
from tests.support.hostile import Conversation, Endpoint, answering, response
from tests.support.sending import BODY, NAME, kind_of, post, status_of, transport_to
from tests.support.tls import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_tls_with_the_right_name_is_delivered(authority: Authority):
    received: list[bytes] = []
    names: list[str | None] = []
    context = authority.server_context(NAME)

    def note(sock: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = note
    with Endpoint(answering(response("200 OK"), received), tls=context) as endpoint:
        result = post(endpoint, host=NAME, ca_file=authority.ca_file)
    assert status_of(result) == 200
    assert names == [NAME]
    assert f"Host: {NAME}:{endpoint.port}".encode() in received[0]


def test_tls_by_address_checks_the_address(authority: Authority):
    good = authority.server_context("127.0.0.1")
    with Endpoint(answering(response("200 OK")), tls=good) as endpoint:
        assert status_of(post(endpoint, ca_file=authority.ca_file)) == 200
    bad = authority.server_context("127.0.0.2")
    with Endpoint(answering(response("200 OK")), tls=bad) as endpoint:
        assert kind_of(post(endpoint, ca_file=authority.ca_file)) is ErrorKind.TLS


def wrong_name(authority: Authority) -> ssl.SSLContext:
    return authority.server_context("other.example.com")


def address_only(authority: Authority) -> ssl.SSLContext:
    return authority.server_context("127.0.0.1")


def expired(authority: Authority) -> ssl.SSLContext:
    return authority.server_context(NAME, days=-1)


def self_signed(authority: Authority) -> ssl.SSLContext:
    return authority.server_context(NAME, is_self_signed=True)


def old_version(authority: Authority) -> ssl.SSLContext:
    context = authority.server_context(NAME)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def common_name_only(authority: Authority) -> ssl.SSLContext:
    return authority.server_context(common_name=NAME)


def common_name_beside_another(authority: Authority) -> ssl.SSLContext:
    return authority.server_context("other.example.com", common_name=NAME)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (wrong_name, "it is not for this host name"),
        (common_name_only, "it is not for this host name"),
        (expired, "expired"),
        (self_signed, "self-signed"),
    ],
)
def test_why_a_certificate_is_refused_is_said_in_our_own_words(
    build: Callable[[Authority], ssl.SSLContext], reason: str, authority: Authority
):
    with Endpoint(answering(response("200 OK")), tls=build(authority)) as endpoint:
        result = post(endpoint, host=NAME, ca_file=authority.ca_file)
    assert isinstance(result, Failure)
    assert result.detail == f"certificate refused: {reason}"


@pytest.mark.filterwarnings("ignore:.*TLSv1:DeprecationWarning")
@pytest.mark.parametrize(
    "build",
    [
        wrong_name,
        address_only,
        expired,
        self_signed,
        old_version,
        common_name_only,
        common_name_beside_another,
    ],
)
def test_tls_that_cannot_be_trusted_sends_nothing(build, authority: Authority):
    received: list[bytes] = []
    with Endpoint(answering(response("200 OK"), received), tls=build(authority)) as endpoint:
        result = post(endpoint, host=NAME, ca_file=authority.ca_file)
    assert kind_of(result) is ErrorKind.TLS
    assert received == []


def test_a_private_authority_is_not_trusted_unless_named(authority: Authority):
    with Endpoint(answering(response("200 OK")), tls=authority.server_context(NAME)) as endpoint:
        assert kind_of(post(endpoint, host=NAME)) is ErrorKind.TLS


def test_plain_http_on_a_tls_port_is_a_failed_handshake(authority: Authority):
    def script(conversation: Conversation) -> None:
        conversation.send(response("400 Bad Request"))
        conversation.stopping.wait(30)

    with (
        Endpoint(script) as endpoint,
        transport_to((NAME, endpoint.port), ca_file=authority.ca_file) as transport,
    ):
        result = transport.post(
            f"https://{NAME}:{endpoint.port}/", body=BODY, headers={}, deadline_seconds=60
        )
    assert kind_of(result) is ErrorKind.TLS


def test_a_handshake_that_never_ends_ends_at_the_deadline(authority: Authority):
    def script(conversation: Conversation) -> None:
        # A handshake record that is shorter than its announced length.
        conversation.send(b"\x16\x03\x03\x40\x00")
        conversation.drip(b"\x02")

    with (
        Endpoint(script) as endpoint,
        transport_to((NAME, endpoint.port), ca_file=authority.ca_file) as transport,
    ):
        started = time.monotonic()
        result = transport.post(
            f"https://{NAME}:{endpoint.port}/in", body=BODY, headers={}, deadline_seconds=0.5
        )
        assert time.monotonic() - started < 15, "it would drip for ever"
    assert kind_of(result) is ErrorKind.TIMEOUT
