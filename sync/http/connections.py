"""The guarded adapter of ``requests``: it connects to a vetted address, under one deadline.

The certificate is checked against the endpoint's name, not the address. The adapter is used without
a ``Session`` on purpose: a session reads proxies and ``.netrc`` from the environment, keeps
cookies, and reads the whole body of a redirect even when redirects are disabled.
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
"""Endpoints whose connections are kept; beyond that, the least recently used ones are closed."""
CONNECTIONS_PER_ENDPOINT = 64
"""The maximum number of concurrent requests of one delivery process."""
MAX_LINES = 256
MAX_LINE_BYTES = 8 * 1024
MAX_LINES_BYTES = 32 * 1024
"""Limit for all heads of a response together, interim ones included, and again for a chunked body:
each chunk starts with a line, and its trailers are lines."""
READ_BYTES = 8 * 1024
LATE_SECONDS = 0.05
"""How much later than its deadline a wait may end. Setting a socket's timeout is a system call, at
which another thread may take the GIL: one call per wait costs 6% of the processor time."""
WRITE_BYTES = 16 * 1024
"""The size of a TLS record: longer data is written in pieces, each with its own time limit."""


class HeadCutOff(http.client.RemoteDisconnected):
    """The connection ended within the head of a response."""


class ResponseTooLong(http.client.HTTPException):
    """More interim responses, headers, chunks or trailers than a response needs."""


class Deadline:
    """The time limit of one send: lookup, connections, repetition and response in total."""

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
        """Make the next wait on the socket end at the deadline.

        Call it before each wait: a socket's own timeout restarts with every read, so a server that
        sends one byte at a time could hold a request forever.

        Raises:
            TimeoutError: the time is up.
        """
        seconds = self.remaining()
        if not seconds:
            raise TimeoutError("the deadline has passed")
        # Never earlier: there would still be time to send the request again.
        if not seconds <= (sock.gettimeout() or 0.0) <= seconds + LATE_SECONDS:
            sock.settimeout(seconds + LATE_SECONDS / 2)


@dataclass
class Exchange:
    """One request in progress in a thread, and what was observed on its connection."""

    deadline: Deadline
    needs_new_connection: bool = False
    """Whether the request must not use a connection that another request has used."""
    is_connected: bool = False
    """Whether a new connection was made; a reused one proves nothing."""
    is_reused: bool = False
    """Whether the request used a connection that another request had used."""
    has_response_begun: bool = False
    """Whether a byte of a response has arrived, including interim responses."""


class _Current(threading.local):
    """This thread's exchange; urllib3 has no way to pass it to a connection."""

    exchange: Exchange | None = None


_current = _Current()


def _exchange() -> Exchange:
    if _current.exchange is None:
        raise RuntimeError("a connection is used outside of PinnedAdapter.exchange")
    return _current.exchange


class PinnedRequest(PreparedRequest):
    """A POST with the address to connect to."""

    def __init__(
        self, target: Target, address: Address, *, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Raises ``requests.exceptions.InvalidHeader`` for a header that cannot be sent."""
        super().__init__()
        self.target = target
        self.address = address
        self.method = "POST"
        # Not parsed again: a second parser could interpret the vetted URL differently.
        self.url = target.url
        self.prepare_headers({**headers, "Host": target.host_header})
        self.prepare_body(body, None)


class PinnedAdapter(HTTPAdapter):
    """Connections by vetted address, under a deadline, TLS 1.2 or later with full verification."""

    def __init__(self, *, ca_file: Path | None) -> None:
        """``ca_file`` replaces the public certificate authorities with those of a PEM file."""
        self._tls = _tls_settings(ca_file)
        _silence_urllib3()
        super().__init__(MOST_ENDPOINTS, CONNECTIONS_PER_ENDPOINT)

    def exchange(
        self, request: PinnedRequest, exchange: Exchange, *, connect_seconds: float
    ) -> Response:
        """Send, and read the head of the response; the caller reads ``raw`` and closes it.

        ``connect_seconds`` limits connection and handshake; the rest has only the deadline.
        ``exchange`` records what was observed, whatever the result.

        Raises:
            Whatever requests, urllib3 and http.client raise.
        """
        _current.exchange = exchange
        try:
            # urllib3 sets the second timeout before it waits for the response.
            rest = exchange.deadline.remaining() + LATE_SECONDS / 2
            return self.send(request, stream=True, timeout=(connect_seconds, rest))
        finally:
            _current.exchange = None

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        """Give every pool our TLS settings and connection classes."""
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
        """The vetted path, unchanged."""
        return _pinned(request).target.path

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to do: the shared TLS context verifies, and loads its authorities once."""

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """Status, headers and the raw response; cookies and decoded text are not needed."""
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
    # Only the subject alternative names count (RFC 9525); without this, OpenSSL would fall back to
    # the common name, which may be any text.
    settings.hostname_checks_common_name = False
    return settings


def _pinned(request: PreparedRequest) -> PinnedRequest:
    if not isinstance(request, PinnedRequest):
        raise TypeError("only a pinned request may be sent")
    return request


class _Guarded(HTTPConnection):
    """A connection where every wait ends at the deadline of the exchange that uses it."""

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
        # The head is sent with the body: sent alone, it costs another packet and another wake-up of
        # the receiver, and 64 threads at 50 ms send 89% of what latency allows instead of 93%.
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
        # The pool keeps the object and opens a new connection with it.
        self._is_used = False

    def _response(self, sock: socket.socket, **options: Any) -> http.client.HTTPResponse:
        exchange = _exchange()
        return _FinalResponse(_TimedFile(sock, exchange.deadline), exchange, **options)

    response_class = cast(Any, _response)


class _GuardedTls(_Guarded, HTTPSConnection):
    """The same for TLS; the handshake gets the time left from connecting."""


# The casts: urllib3 declares connection classes by a protocol that its own classes do not match.
class _HttpPool(HTTPConnectionPool):
    ConnectionCls = cast(Any, _Guarded)


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = cast(Any, _GuardedTls)


class _TimedFile(io.RawIOBase):
    """The input of a socket; each read ends at the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        # The socket stays open until this is closed as well, as `http.client` expects.
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
    """The first response that is not an interim one (RFC 9110, 15.2), with a complete head.

    ``http.client`` treats 102, 103 and 104 as final and a partial head as complete: an early hint
    would then be a failure, and a 200 that was cut off a delivery.
    """

    def __init__(self, file: _TimedFile, exchange: Exchange, **options: Any) -> None:
        super().__init__(cast(Any, file), **options)
        self._exchange = exchange

    def begin(self) -> None:
        lines = _BoundedLines(self.fp)
        self.fp = cast(Any, lines)
        # Waits for the first byte; empty when the connection closes without one.
        self._exchange.has_response_begun = bool(lines.file.peek(1))
        super().begin()
        # After a 101 the connection no longer speaks HTTP, even though we did not request that.
        while 100 <= self.status <= 199 and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers = self.msg = cast(Any, None)
            super().begin()
        if lines.last not in (b"\r\n", b"\n"):
            raise HeadCutOff("the connection ended within the head of the response")
        self.fp = cast(Any, _BoundedLines(lines.file)) if self.chunked else lines.file


class _BoundedLines:
    """A file that limits the number and size of lines that are read; other reads are unchanged.

    Where ``http.client`` reads lines, a server can send them endlessly and keep the processor busy
    until the deadline.
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
        # RFC 9112, 2.2. http.client's parser would treat it as the end of a line.
        if b"\r" in self.last[:-2]:
            raise http.client.HTTPException("a carriage return within a line")
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def _silence_urllib3() -> None:
    """Drop urllib3's logs about our exchanges: they contain the URL, which may contain a token.

    A receiver can cause such a log line at level warning with a malformed header. Other users of
    urllib3 in the process continue to log.
    """
    # A parent logger's filter does not see its children's records.
    for module in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
        logger = logging.getLogger(f"urllib3.{module}")
        if _is_of_no_exchange not in logger.filters:
            logger.addFilter(_is_of_no_exchange)


def _is_of_no_exchange(record: logging.LogRecord) -> bool:  # noqa: ARG001
    return _current.exchange is None
