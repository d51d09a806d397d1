"""Errors of the network libraries: code, who is to blame, and no data in the text."""

from __future__ import annotations

import errno

import pytest
import requests
from urllib3.connection import HTTPConnection
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached
from sync.http.connections import Deadline, Exchange, HeadCutOff, PinnedAdapter
from sync.http.failures import classify, reached


def wrapped(cause: OSError) -> Exception:
    """The error that the libraries raise when a connection cannot be opened."""
    connection = HTTPConnection("10.1.2.3", 443)
    inner = NewConnectionError(connection, f"Failed to connect to 10.1.2.3: {cause}")
    inner.__cause__ = cause
    return requests.ConnectionError(
        MaxRetryError(None, "/in?token=canary", inner)  # pyright: ignore[reportArgumentType]
    )


def classified(
    error: Exception, *, seconds_left: float = 60, is_ipv6: bool = False, has_begun: bool = False
) -> Failure:
    exchange = Exchange(Deadline(seconds_left), has_response_begun=has_begun)
    return classify(error, exchange, is_ipv6=is_ipv6)


OURS = ("EADDRNOTAVAIL", "EMFILE", "ENETDOWN", "ENETUNREACH", "ENFILE", "ENOBUFS", "ENOMEM")
NO_ROUTE = {"EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"}


@pytest.mark.parametrize("number", [getattr(errno, name) for name in OURS])
def test_no_network_and_no_room_for_a_socket_are_ours(number: int):
    failure = classified(wrapped(OSError(number, "text")))
    assert (failure.error_kind, failure.attribution) == (ErrorKind.INTERNAL, Attribution.SENDER)
    assert errno.errorcode[number] in failure.detail


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.ECONNRESET])
def test_an_endpoint_that_cannot_be_reached_is_theirs(number: int):
    failure = classified(wrapped(OSError(number, "text")))
    assert (failure.error_kind, failure.attribution) == (ErrorKind.CONNECT, Attribution.RECEIVER)


@pytest.mark.parametrize("name", sorted({*OURS, *NO_ROUTE}))
def test_what_says_that_there_is_no_route_to_a_host_is_told_from_silence(name: str):
    found = reached(wrapped(OSError(getattr(errno, name), "text")), Exchange(Deadline(60)))
    assert found is (Reached.NO_ROUTE if name in NO_ROUTE else Reached.NOT_TRIED)


def test_an_endpoint_with_ipv6_only_is_theirs_where_there_is_none():
    for number in (errno.ENETUNREACH, errno.EADDRNOTAVAIL):
        failure = classified(wrapped(OSError(number, "text")), is_ipv6=True)
        assert (failure.error_kind, failure.attribution) == (
            ErrorKind.CONNECT,
            Attribution.RECEIVER,
        )
    assert (
        classified(wrapped(OSError(errno.EMFILE, "text")), is_ipv6=True).attribution
        is Attribution.SENDER
    )


def test_after_the_deadline_every_error_is_the_deadline():
    refused = wrapped(ConnectionRefusedError(errno.ECONNREFUSED, "text"))
    assert classified(refused, seconds_left=0).error_kind is ErrorKind.TIMEOUT
    cut = requests.ConnectionError(ProtocolError("aborted", HeadCutOff("cut")))
    assert classified(cut, seconds_left=0, has_begun=True).error_kind is ErrorKind.TOO_SLOW
    assert classified(cut).error_kind is ErrorKind.CONNECT


def test_an_unknown_error_is_a_sender_error():
    failure = classified(ValueError("canary"))
    assert (failure.error_kind, failure.attribution) == (ErrorKind.INTERNAL, Attribution.SENDER)
    assert "canary" not in failure.detail


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ENETUNREACH, errno.EIO])
def test_no_text_of_the_libraries_is_passed_on(number: int):
    detail = classified(wrapped(OSError(number, "text"))).detail
    assert "10.1.2.3" not in detail
    assert "canary" not in detail


def test_the_adapter_sends_no_request_without_a_vetted_address():
    adapter = PinnedAdapter(ca_file=None)
    request = requests.Request("POST", "https://hooks.example.com/").prepare()
    with pytest.raises(TypeError, match="pinned"):
        adapter.send(request)
