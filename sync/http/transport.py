"""Send one webhook and return the result. Whatever an endpoint does, the result is a value."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import requests
from requests.exceptions import InvalidHeader, RequestException
from urllib3.exceptions import HTTPError

from sync.domain.responses import (
    Attribution,
    ErrorKind,
    Failure,
    Reached,
    Response,
    ResponseWithBody,
)
from sync.http.addresses import AddressPolicy, Resolver, VettedTarget, vet
from sync.http.connections import READ_BYTES, Deadline, Exchange, PinnedAdapter, PinnedRequest
from sync.http.excerpts import excerpt
from sync.http.failures import classify, reached
from sync.http.headers import USER_AGENT
from sync.http.resolver import ResolutionFailed, SystemResolver
from sync.http.urls import InvalidTarget

DEFAULT_DEADLINE_SECONDS = 20.0
MAX_BODY_BYTES = 64 * 1024
"""Maximum read of a response body; no caller needs more, and reading an endless body must stop."""
MAX_READS = 256
"""Maximum reads per body: a body sent byte by byte would take processor time from all others."""
MAX_ADDRESSES = 8
"""Maximum addresses of one name that are tried in turn when connecting fails."""
MAX_LOOKUP_SECONDS = 5.0

_RETRY_AFTER_LENGTH = 128
_DEFAULT_HEADERS = {
    "Accept": "*/*",
    # A compressed body could exceed the cap once decompressed; nothing is ever decompressed.
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": USER_AGENT,
}
_RESERVED_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect"}
)
_EXCHANGE_ERRORS = (
    RequestException,
    HTTPError,
    http.client.HTTPException,
    OSError,
    # Raised below requests for header values that cannot be encoded.
    ValueError,
)
_FARTHER = list(Reached)


class Transport:
    """Sends to any number of endpoints from any number of threads; connections are reused.

    Every send checks the address policy again, connects only to a vetted address, follows no
    redirect, takes no proxy, cookie or credential from the environment, and ends by its deadline.
    """

    def __init__(
        self,
        *,
        policy: AddressPolicy,
        resolver: Resolver | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """``ca_file`` replaces the public certificate authorities with those of a PEM file."""
        self._policy = policy
        self._resolver = resolver or SystemResolver()
        self._adapter = PinnedAdapter(ca_file=ca_file)

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all idle connections."""
        self._adapter.close()

    def post(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
    ) -> Response | Failure:
        """POST ``body`` unchanged. The deadline covers lookup, connect, TLS, head and body.

        A response counts once its head is complete, even if its body is cut off by the deadline or
        ``MAX_BODY_BYTES``.

        Raises:
            ValueError: ``headers`` would change the framing of the message or its destination.
        """
        result = self.post_for_body(
            url, body=body, headers=headers, deadline_seconds=deadline_seconds
        )
        return result if isinstance(result, Failure) else _summary(result)

    def post_for_body(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
    ) -> ResponseWithBody | Failure:
        """Like ``post``, with the same rules, for a caller that needs the response body.

        Raises:
            ValueError: as for ``post``.
        """
        if reserved := _RESERVED_HEADERS & {name.lower() for name in headers}:
            raise ValueError(f"not for the caller to set: {', '.join(sorted(reserved))}")
        started = time.monotonic()
        result = self._post(url, body, headers, Deadline(deadline_seconds))
        return replace(result, duration_ms=round((time.monotonic() - started) * 1000))

    def _post(
        self, url: str, body: bytes, headers: Mapping[str, str], deadline: Deadline
    ) -> ResponseWithBody | Failure:
        try:
            vetted = vet(
                url,
                policy=self._policy,
                resolver=self._resolver,
                timeout_seconds=min(deadline.remaining(), MAX_LOOKUP_SECONDS),
            )
            return self._try_addresses(vetted, body, headers, deadline)
        except InvalidTarget as refusal:
            return _untried(ErrorKind.INVALID_TARGET, Attribution.RECEIVER, str(refusal))
        except ResolutionFailed as failed:
            return Failure(
                ErrorKind.DNS,
                failed.attribution,
                str(failed),
                reached=failed.reached,
                hosts=failed.hosts,
            )
        except InvalidHeader:
            text = "a header holds a character that no header may hold"
            return _untried(ErrorKind.INTERNAL, Attribution.SENDER, text)

    def _try_addresses(
        self, vetted: VettedTarget, body: bytes, headers: Mapping[str, str], deadline: Deadline
    ) -> ResponseWithBody | Failure:
        """The first response, or the combined failure of all addresses."""
        failure = _untried(ErrorKind.CONNECT, Attribution.RECEIVER, "no address was tried")
        furthest = Reached.NOT_TRIED
        merged = {**_DEFAULT_HEADERS, **headers}
        addresses = vetted.addresses[:MAX_ADDRESSES]
        for tried, address in enumerate(addresses):
            request = PinnedRequest(vetted.target, address, headers=merged, body=body)
            # Each address gets a share of the time, so an unresponsive one leaves time for others.
            share = max(deadline.remaining() / (len(addresses) - tried), 0.001)
            exchange = Exchange(deadline)
            try:
                return _read(self._respond(request, exchange, share))
            except _EXCHANGE_ERRORS as error:
                here = reached(error, exchange)
                is_told_before = failure.attribution is Attribution.SENDER or (
                    _FARTHER.index(furthest) > _FARTHER.index(Reached.NO_ROUTE)
                )
                # An address without a route is no evidence about a host that has other addresses.
                if here is not Reached.NO_ROUTE or not is_told_before:
                    failure = classify(error, exchange, is_ipv6=address.version == 6)
                # One responding address proves as much as all of them.
                furthest = max(furthest, here, key=_FARTHER.index)
                if exchange.is_connected or exchange.is_reused or deadline.is_over:
                    break
        hosts = frozenset({vetted.target.host, *map(str, addresses)})
        return replace(failure, reached=furthest, hosts=hosts)

    def _respond(
        self, request: PinnedRequest, exchange: Exchange, connect_seconds: float
    ) -> requests.Response:
        """The response, with its head read; if a reused connection breaks, the request is repeated.

        A server may close an idle connection while the next request is on its way, without a
        response to that request. So this is nobody's failure; on a new connection it would be. It
        is repeated only once, and only if no byte of a response arrived. A 408 that closes the
        connection counts as no response: servers send it on an idle connection, and repeating the
        request is then allowed (RFC 9110, 15.5.9).
        """
        deadline = exchange.deadline
        try:
            response = self._adapter.exchange(request, exchange, connect_seconds=connect_seconds)
            if not exchange.is_reused or not _says_idle(response) or deadline.is_over:
                return response
            response.raw.close()
        except _EXCHANGE_ERRORS:
            if not exchange.is_reused or exchange.has_response_begun or deadline.is_over:
                raise
        exchange.needs_new_connection = True
        exchange.has_response_begun = False
        return self._adapter.exchange(request, exchange, connect_seconds=connect_seconds)


def _says_idle(response: requests.Response) -> bool:
    is_closing = response.headers.get("Connection", "").lower() == "close"
    return response.status_code == http.client.REQUEST_TIMEOUT and is_closing


def _read(response: requests.Response) -> ResponseWithBody:
    """Read the body, and close the connection if some of the body is left."""
    content, is_whole = bytearray(), False
    # The head decides the result; a body that is cut off changes nothing.
    with suppress(*_EXCHANGE_ERRORS):
        # A 101 is not followed by a body.
        for _ in range(MAX_READS if response.status_code >= 200 else 0):
            piece = response.raw.read1(READ_BYTES, decode_content=False)
            content += piece
            is_whole = not piece
            if is_whole or len(content) >= MAX_BODY_BYTES:
                break
    if not is_whole:
        response.raw.close()
    body = bytes(content[:MAX_BODY_BYTES])
    return ResponseWithBody(response.status_code, body, response.headers, is_whole)


def _summary(received: ResponseWithBody) -> Response:
    """The parts of a response that may be kept."""
    headers = received.headers
    retry_after = headers.get("Retry-After")
    return Response(
        status=received.status,
        retry_after=None if retry_after is None else retry_after[:_RETRY_AFTER_LENGTH],
        excerpt=excerpt(
            received.body,
            media_type=headers.get("Content-Type", ""),
            is_encoded=headers.get("Content-Encoding", "identity") != "identity",
            is_cut=not received.is_whole,
        ),
        duration_ms=received.duration_ms,
    )


def _untried(kind: ErrorKind, attribution: Attribution, text: str) -> Failure:
    return Failure(kind, attribution, text, reached=Reached.NOT_TRIED)
