"""Send one webhook and say what came of it. Whatever an endpoint does, the outcome is a value."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from sync.domain.responses import (
    Attribution,
    ErrorKind,
    Failure,
    Reached,
    Response,
    ResponseWithBody,
)
from sync.http.addresses import AddressPolicy, Resolver, VettedTarget, vet
from sync.http.connections import (
    EXCHANGE_ERRORS,
    Connections,
    Deadline,
    Exchange,
    Received,
    Request,
)
from sync.http.excerpts import excerpt
from sync.http.failures import classify, reached
from sync.http.resolver import ResolutionFailed, SystemResolver
from sync.http.urls import InvalidTarget

DEFAULT_DEADLINE_SECONDS = 20.0
MAX_ADDRESSES = 8
"""Of one name that are tried, one after the other, where connecting fails."""
MAX_LOOKUP_SECONDS = 5.0

_RETRY_AFTER_LENGTH = 128
_DEFAULT_HEADERS = {
    "Accept": "*/*",
    # A compressed body could outgrow the cap once unpacked; nothing is ever unpacked.
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": "LearningTimeWebhooks/1.0",
}
_RESERVED_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect"}
)
# Names and values of RFC 9110, 5.5 and 5.6.2: no line break, and nothing that no encoding carries.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:(?:[!-~\x80-\xff][\t -~\x80-\xff]*)?")
_FARTHER = list(Reached)


class Transport:
    """Sends to any number of endpoints from any number of threads; connections are reused.

    Every send checks the address policy anew, connects only to a vetted address, follows no
    redirect, takes no proxy, cookie or credential from its surroundings, and ends in time.
    """

    def __init__(
        self,
        *,
        policy: AddressPolicy,
        resolver: Resolver | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """``ca_file`` replaces the public certificate authorities by those of a PEM file."""
        self._policy = policy
        self._resolver = resolver or SystemResolver()
        self._connections = Connections(ca_file=ca_file)

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all idle connections."""
        self._connections.close()

    def post(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
    ) -> Response | Failure:
        """POST ``body`` as it stands. The deadline spans lookup, connect, TLS, head and body.

        An answer counts once its head is complete, even if its body is cut by the deadline or
        by ``MAX_BODY_BYTES``.

        Raises:
            ValueError: ``headers`` would change the framing of the message or its destination.
        """
        result = self._send(url, body, headers, deadline_seconds)
        return result if isinstance(result, Failure) else _response(result)

    def post_for_body(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
    ) -> ResponseWithBody | Failure:
        """As ``post``, under the same rules, for a caller that needs the body of the answer.

        Raises:
            ValueError: as for ``post``.
        """
        result = self._send(url, body, headers, deadline_seconds)
        if isinstance(result, Failure):
            return result
        return ResponseWithBody(result.status, result.body, result.duration_ms)

    def _send(
        self, url: str, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Received | Failure:
        if reserved := _RESERVED_HEADERS & {name.lower() for name in headers}:
            raise ValueError(f"not for the caller to set: {', '.join(sorted(reserved))}")
        started = time.monotonic()
        if all(_HEADER.fullmatch(f"{name}:{value}") for name, value in headers.items()):
            result = self._post(url, body, headers, Deadline(deadline_seconds))
        else:
            text = "a header holds a character that no header may hold"
            result = _untried(ErrorKind.INTERNAL, Attribution.SENDER, text)
        return replace(result, duration_ms=round((time.monotonic() - started) * 1000))

    def _post(
        self, url: str, body: bytes, headers: Mapping[str, str], deadline: Deadline
    ) -> Received | Failure:
        try:
            vetted = vet(
                url,
                policy=self._policy,
                resolver=self._resolver,
                timeout_seconds=min(deadline.remaining(), MAX_LOOKUP_SECONDS),
            )
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
        return self._try_addresses(vetted, body, headers, deadline)

    def _try_addresses(
        self, vetted: VettedTarget, body: bytes, headers: Mapping[str, str], deadline: Deadline
    ) -> Received | Failure:
        """The first response, or what the addresses tell together."""
        failure = _untried(ErrorKind.CONNECT, Attribution.RECEIVER, "no address was tried")
        furthest = Reached.NOT_TRIED
        merged = {"Host": vetted.target.host_header, **_DEFAULT_HEADERS, **headers}
        addresses = vetted.addresses[:MAX_ADDRESSES]
        for tried, address in enumerate(addresses):
            request = Request(vetted.target, address, merged, body)
            exchange = Exchange(deadline)
            # Each address gets its share of the time, so that a black hole leaves some for others.
            share = max(deadline.remaining() / (len(addresses) - tried), 0.001)
            try:
                return self._connections.post(request, exchange, connect_seconds=share)
            except EXCHANGE_ERRORS as error:
                here = reached(error, exchange)
                is_told_before = failure.attribution is Attribution.SENDER or (
                    _FARTHER.index(furthest) > _FARTHER.index(Reached.NO_ROUTE)
                )
                # An address without a way to it says nothing of the host that has others.
                if here is not Reached.NO_ROUTE or not is_told_before:
                    failure = classify(error, exchange, is_ipv6=address.version == 6)
                # One address that responds proves as much as if all did.
                furthest = max(furthest, here, key=_FARTHER.index)
                if exchange.is_connected or exchange.is_reused or deadline.is_over:
                    break
        hosts = frozenset({vetted.target.host, *map(str, addresses)})
        return replace(failure, reached=furthest, hosts=hosts)


def _untried(kind: ErrorKind, attribution: Attribution, text: str) -> Failure:
    return Failure(kind, attribution, text, reached=Reached.NOT_TRIED)


def _response(received: Received) -> Response:
    """What may be kept of a response."""
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
