"""The guarded adapter of ``requests``: it connects to a vetted address, under one deadline.

The certificate is checked against the endpoint's name, not the address. The adapter is used
without a ``Session``, on purpose: a session reads proxies and ``.netrc`` from the environment,
keeps cookies, and reads the whole body of a redirect even when it is told to follow none.
"""

from __future__ import annotations

import http.client
import io
import logging
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import certifi
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from sync.http.addresses import Address
from sync.http.urls import Target

MOST_ENDPOINTS = 256
"""Endpoints whose connections are kept; the longest unused ones are closed beyond that."""
CONNECTIONS_PER_ENDPOINT = 64
"""As many as one delivery process sends at once."""
MAX_LINES = 256
MAX_LINE_BYTES = 8 * 1024
MAX_LINES_BYTES = 32 * 1024
"""Of all heads of a response together, interim ones included, and again of a chunked body: each
chunk begins with a line, and its trailers are lines."""
READ_BYTES = 8 * 1024
WRITE_BYTES = 16 * 1024
"""A TLS record: what is longer is written in pieces, each with a time limit of its own."""


class HeadCutOff(http.client.RemoteDisconnected):
    """The connection ended within the head of a response."""


class ResponseTooLong(http.client.HTTPException):
    """More interim responses, headers, chunks or trailers than a response needs."""


class Deadline:
    """The time limit of one send: lookup, connections, repetition and response together."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.remaining() <= 0

    def remaining(self) -> float:
        """Seconds left; never negative."""
        return max(self._ends_at - time.monotonic(), 0.0)

    def limit(self, sock: socket.socket) -> None:
        """Let the next wait on the socket end in time.

        To be called before each: a socket's own timeout starts anew with every read, so a server
        that drips one byte at a time could hold a request for ever.

        Raises:
            TimeoutError: the time is up.
        """
        seconds = self.remaining()
        if not seconds:
            raise TimeoutError("the deadline has passed")
        sock.settimeout(seconds)


@dataclass
class Exchange:
    """One request that a thread has under way, and what is seen of it on its connection."""

    deadline: Deadline
    needs_new_connection: bool = False
    """Whether the request must not go out on a connection that another one has used."""
    is_connected: bool = False
    """Whether a new connection was made; one that is used again proves nothing."""
    is_reused: bool = False
    """Whether the request went out on a connection that another one had used."""
    has_response_begun: bool = False
    """Whether a byte of a response has come, be it of an interim one."""


class _Current(threading.local):
    """The exchange that this thread is in; urllib3 has no way to pass it to a connection."""

    exchange: Exchange | None = None


_current = _Current()


def _exchange() -> Exchange:
    if _current.exchange is None:
        raise RuntimeError("a connection is used outside of PinnedAdapter.exchange")
    return _current.exchange


class PinnedRequest(PreparedRequest):
    """A POST that knows the address to connect to."""

    def __init__(
        self, target: Target, address: Address, *, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Raises ``requests.exceptions.InvalidHeader`` for a header that cannot be sent."""
        super().__init__()
        self.target = target
        self.address = address
        self.method = "POST"
        # Not prepared anew: a second parser could read the vetted URL in another way.
        self.url = target.url
        self.prepare_headers({**headers, "Host": target.host_header})
        self.prepare_body(body, None)


class PinnedAdapter(HTTPAdapter):
    """Connections by vetted address, under a deadline, TLS 1.2 or later with full verification."""

    def __init__(self, *, ca_file: Path | None) -> None:
        """``ca_file`` replaces the public authorities by those of one PEM file."""
        self._tls = _tls_settings(ca_file)
        _silence_urllib3()
        super().__init__(MOST_ENDPOINTS, CONNECTIONS_PER_ENDPOINT)

    def exchange(
        self, request: PinnedRequest, exchange: Exchange, *, connect_seconds: float
    ) -> Response:
        """Send, and read the head of the response; the caller reads ``raw`` and closes it.

        ``connect_seconds`` are for connection and handshake; for the rest only the deadline counts.
        ``exchange`` says afterwards what was seen of it, whatever came of it.

        Raises:
            Whatever requests, urllib3 and http.client raise.
        """
        _current.exchange = exchange
        try:
            return self.send(request, stream=True, timeout=(connect_seconds, None))
        finally:
            _current.exchange = None

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        """Give every pool our TLS settings and our connections."""
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._tls, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,
        verify: Any,  # noqa: ARG002  verification is always on
        proxies: Any = None,  # noqa: ARG002  and there never is a proxy
        cert: Any = None,  # noqa: ARG002
    ) -> Any:
        """The pool of connections to the vetted address, port and name."""
        target, address = _pinned(request).target, _pinned(request).address
        name = {"server_hostname": target.host} if target.scheme == "https" else None
        return self.poolmanager.connection_from_host(
            str(address), target.port, target.scheme, pool_kwargs=name
        )

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:  # noqa: ARG002
        """The path as it was vetted."""
        return _pinned(request).target.path

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to do: the shared TLS context verifies, and loads its authorities once."""

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """Status, headers and the raw response: cookies and decoded text are not needed."""
        response = Response()
        response.status_code = resp.status
        response.headers = resp.headers
        response.raw = resp
        response.request = req
        return response


@cache
def _tls_settings(ca_file: Path | None) -> ssl.SSLContext:
    """Shared by all adapters of the process: reading the authorities takes 20 ms."""
    settings = ssl.create_default_context(cafile=ca_file or certifi.where())
    settings.minimum_version = ssl.TLSVersion.TLSv1_2
    # The name counts where it belongs, in the alternative names (RFC 9525); without those
    # OpenSSL would look at the common name, which may be any text.
    settings.hostname_checks_common_name = False
    return settings


def _pinned(request: PreparedRequest) -> PinnedRequest:
    if not isinstance(request, PinnedRequest):
        raise TypeError("only a pinned request may be sent")
    return request


class _Guarded(HTTPConnection):
    """A connection whose every wait ends at the deadline of the exchange that uses it."""

    _is_used = False
    _is_head = False
    _head = b""

    def _new_conn(self) -> socket.socket:
        # The one method of urllib3 between "connected" and the TLS handshake.
        sock = super()._new_conn()
        exchange = _exchange()
        exchange.is_connected = True
        sock.settimeout(min(cast(float, self.timeout), max(exchange.deadline.remaining(), 0.001)))
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        exchange = _exchange()
        if self._is_used and exchange.needs_new_connection:
            self.close()
        exchange.is_reused = self._is_used
        self._is_used = True
        super().request(*args, **kwargs)
        if self._head:
            self.send(b"")

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        self._is_head = True
        super().endheaders(*args, **kwargs)

    def send(self, data: Any) -> None:
        # The head goes out with the body: by itself it is another packet and another wake-up of the
        # receiver, and 64 threads at 50 ms send 89 % of what latency allows instead of 93 %.
        if self._is_head:
            self._head, self._is_head = data, False
            return
        data, self._head = self._head + data, b""
        if self.sock is None:
            self.connect()
        for start in range(0, len(data), WRITE_BYTES):
            _exchange().deadline.limit(cast(socket.socket, self.sock))
            super().send(data[start : start + WRITE_BYTES])

    def close(self) -> None:
        super().close()
        # The pool keeps the object, and opens a new connection with it.
        self._is_used = False

    def _response(self, sock: socket.socket, **options: Any) -> http.client.HTTPResponse:
        exchange = _exchange()
        return _FinalResponse(_TimedFile(sock, exchange.deadline), exchange, **options)

    response_class = cast(Any, _response)


class _GuardedTls(_Guarded, HTTPSConnection):
    """The same for TLS; the handshake has the time that connecting has left."""


# The casts: urllib3 declares the classes of connections by a protocol its own do not match.
class _HttpPool(HTTPConnectionPool):
    ConnectionCls = cast(Any, _Guarded)


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = cast(Any, _GuardedTls)


class _TimedFile(io.RawIOBase):
    """What comes in on a socket; each read ends at the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        # The socket stays open until this is closed, too, as `http.client` expects.
        self._raw = sock.makefile("rb", buffering=0)

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(self, READ_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._deadline.limit(self._sock)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _FinalResponse(http.client.HTTPResponse):
    """The first response that is no interim one (RFC 9110, 15.2), and only with a whole head.

    ``http.client`` takes 102, 103 and 104 for final, and half a head for a whole one: then a hint
    would be a failure, and a 200 that was cut off a delivery.
    """

    def __init__(self, file: _TimedFile, exchange: Exchange, **options: Any) -> None:
        super().__init__(cast(Any, file), **options)
        self._exchange = exchange

    def begin(self) -> None:
        lines = _BoundedLines(self.fp)
        self.fp = cast(Any, lines)
        # Waits for the first byte; empty when the connection ends without one.
        self._exchange.has_response_begun = bool(lines.file.peek(1))
        super().begin()
        # After 101 the connection speaks no HTTP any more, though it was not asked for.
        while 100 <= self.status <= 199 and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers = self.msg = cast(Any, None)
            super().begin()
        if lines.last not in (b"\r\n", b"\n"):
            raise HeadCutOff("the connection ended within the head of the response")
        self.fp = cast(Any, _BoundedLines(lines.file)) if self.chunked else lines.file


class _BoundedLines:
    """A file of which only a limited number of lines can be read; the rest is unchanged.

    Where ``http.client`` reads lines, a server can send them without end and keep the processor
    busy until the deadline.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        self.file = file
        self.last = b""
        self._lines_left = MAX_LINES
        self._bytes_left = MAX_LINES_BYTES

    def readline(self, limit: int = -1) -> bytes:
        self.last = self.file.readline(limit)
        self._lines_left -= 1
        self._bytes_left -= len(self.last)
        is_too_long = len(self.last) > MAX_LINE_BYTES
        if is_too_long or self._lines_left < 0 or self._bytes_left < 0:
            raise ResponseTooLong("too many lines in one response, or too long ones")
        # RFC 9112, 2.2. The parser of http.client would see the end of a line in it.
        if b"\r" in self.last[:-2]:
            raise http.client.HTTPException("a carriage return within a line")
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def _silence_urllib3() -> None:
    """Drop what urllib3 logs of our exchanges: its texts hold the URL, and the URL may a token.

    A receiver brings such a text about by a malformed header, at level warning. What else in the
    process uses urllib3 goes on logging.
    """
    # A filter of a parent does not see the records of its children.
    for module in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
        logger = logging.getLogger(f"urllib3.{module}")
        if _is_of_no_exchange not in logger.filters:
            logger.addFilter(_is_of_no_exchange)


def _is_of_no_exchange(record: logging.LogRecord) -> bool:  # noqa: ARG001
    return _current.exchange is None
