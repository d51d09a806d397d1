"""Connections to vetted addresses and to nowhere else, each exchange under one deadline.

They stand on the standard library's ``http.client``. The libraries above it read proxies,
``.netrc`` and cookies from their surroundings, follow redirects, look names up again and log URLs,
and a URL may hold a token.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, cast

import certifi

from sync.http.addresses import Address
from sync.http.urls import Target

MOST_ENDPOINTS = 256
"""Endpoints whose idle connections are kept; the longest unused ones are closed beyond that."""
MAX_BODY_BYTES = 64 * 1024
"""Read of a response's body; nobody here needs more, and an endless one must end."""
MAX_READS = 256
"""Of one body: whoever sends it byte by byte would keep the processor from all others."""
MAX_LINES = 256
MAX_LINE_BYTES = 8 * 1024
MAX_LINES_BYTES = 32 * 1024
"""Of all heads of a response together, interim ones included, and again of a chunked body: each
chunk begins with a line, and its trailers are lines."""
READ_BYTES = 8 * 1024
WRITE_BYTES = 16 * 1024
"""A TLS record: what is written longer than that is written in pieces, each with a time limit."""

EXCHANGE_ERRORS = (OSError, http.client.HTTPException, ValueError)
"""What an exchange with a receiver can end in, whatever the receiver does."""


class HeadCutOff(http.client.RemoteDisconnected):
    """The connection ended within the head of a response."""


class ResponseTooLong(http.client.HTTPException):
    """More interim responses, headers, chunks or trailers than anybody needs."""


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


@dataclass(frozen=True)
class Request:
    """One POST to one vetted address."""

    target: Target
    address: Address
    headers: Mapping[str, str]
    body: bytes

    @property
    def place(self) -> tuple[str, str, int, Address]:
        """What tells connections apart."""
        return self.target.scheme, self.target.host, self.target.port, self.address


@dataclass
class Exchange:
    """What is seen of one request."""

    deadline: Deadline
    is_connected: bool = False
    """Whether a new connection came about; one that is used again proves nothing."""
    is_reused: bool = False
    """Whether the request went out on a connection that another one had used."""
    has_response_begun: bool = False
    """Whether a byte of a response has come, be it of an interim one."""


@dataclass(frozen=True)
class Received:
    """A response whose head arrived whole."""

    status: int
    headers: Message
    body: bytes
    """As it came over the wire, up to ``MAX_BODY_BYTES``."""
    is_whole: bool
    """False when the body is longer, broke off or came in very many pieces."""
    duration_ms: int = 0


class Connections:
    """Connections by name and address, kept for the next request to the same.

    TLS 1.2 or later, and the certificate is checked against the endpoint's name, not the address.
    """

    def __init__(self, *, ca_file: Path | None) -> None:
        """``ca_file`` replaces the public authorities by those of one PEM file."""
        self._tls = ssl.create_default_context(cafile=ca_file or certifi.where())
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        # The name counts where it belongs, in the alternative names (RFC 9525); without those
        # OpenSSL would look at the common name, which may be any text.
        self._tls.hostname_checks_common_name = False
        self._lock = threading.Lock()
        self._idle = OrderedDict[Hashable, list[_Connection]]()

    def post(self, request: Request, exchange: Exchange, *, connect_seconds: float) -> Received:
        """Send, and read the response; on a used connection that breaks, send once more.

        A server may close a connection while the next request is on its way to it, and says
        nothing about that request then. So this is no failure of anybody's; on a new connection
        it would be. Not a byte of a response may have come, and the repetition opens a connection
        of its own. ``connect_seconds`` are for that alone; for the rest the deadline counts.

        Raises:
            EXCHANGE_ERRORS: no whole head of a response arrived.
        """
        connection = self._take(request.place)
        if connection is not None:
            exchange.is_reused = True
            try:
                return self._exchange(connection, request, exchange)
            except EXCHANGE_ERRORS:
                if exchange.has_response_begun or exchange.deadline.is_over:
                    raise
            exchange.is_reused = False
        connection = _Connection(str(request.address), request.target.port)
        connection.open(request.target, self._tls, exchange, connect_seconds)
        return self._exchange(connection, request, exchange)

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            idle = [one for connections in self._idle.values() for one in connections]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _exchange(self, connection: _Connection, request: Request, exchange: Exchange) -> Received:
        is_kept = False
        try:
            received = connection.send_and_read(request, exchange)
            is_kept = connection.sock is not None and received.is_whole
        finally:
            if not is_kept:
                connection.close()
        if is_kept:
            self._give_back(request.place, connection)
        return received

    def _take(self, place: Hashable) -> _Connection | None:
        while True:
            with self._lock:
                idle = self._idle.get(place)
                connection = idle.pop() if idle else None
            if connection is None or connection.is_silent():
                return connection
            connection.close()

    def _give_back(self, place: Hashable, connection: _Connection) -> None:
        unused: list[_Connection] = []
        with self._lock:
            self._idle.setdefault(place, []).append(connection)
            self._idle.move_to_end(place)
            if len(self._idle) > MOST_ENDPOINTS:
                _, unused = self._idle.popitem(last=False)
        for one in unused:
            one.close()


class _Connection(http.client.HTTPConnection):
    """A connection whose every wait ends at the deadline of the exchange that uses it."""

    _current: Exchange

    def open(
        self, target: Target, tls: ssl.SSLContext, exchange: Exchange, connect_seconds: float
    ) -> None:
        seconds = min(connect_seconds, exchange.deadline.remaining())
        self.sock = socket.create_connection((self.host, self.port), seconds)
        exchange.is_connected = True
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.scheme == "https":
            exchange.deadline.limit(self.sock)
            self.sock = tls.wrap_socket(self.sock, server_hostname=target.host)

    def is_silent(self) -> bool:
        """Whether nothing has come since the last response: an end, or what nobody asked for."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def send_and_read(self, request: Request, exchange: Exchange) -> Received:
        self._current = exchange
        self.putrequest("POST", request.target.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            self.putheader(name, value)
        self.putheader("Content-Length", str(len(request.body)))
        # Whoever responds before the end of a request may close the connection to the rest of it.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.endheaders(request.body)
        response = self.getresponse()
        # Servers say 408 to a connection that is idle, and it meets the next request on its way;
        # to repeat that is allowed then (RFC 9110, 15.5.9).
        if exchange.is_reused and response.status == 408 and response.will_close:
            exchange.has_response_begun = False
            raise http.client.RemoteDisconnected("it was closed as idle")
        body, is_whole = _read_body(response)
        return Received(response.status, response.headers, body, is_whole)

    def send(self, data: Any) -> None:
        for start in range(0, len(data), WRITE_BYTES):
            self._current.deadline.limit(self.sock)
            self.sock.sendall(data[start : start + WRITE_BYTES])

    def _response(self, sock: socket.socket, **options: Any) -> http.client.HTTPResponse:
        return _FinalResponse(_TimedFile(sock, self._current.deadline), self._current, **options)

    response_class = cast(Any, _response)


def _read_body(response: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """Up to ``MAX_BODY_BYTES``, and whether that is all."""
    content = bytearray()
    is_whole = False
    # The head has said what counts; a body that breaks off changes nothing.
    with suppress(*EXCHANGE_ERRORS):
        for _ in range(MAX_READS):
            piece = response.read1(READ_BYTES)
            content += piece
            is_whole = not response.length and (not piece or response.length == 0)
            if is_whole or not piece or len(content) >= MAX_BODY_BYTES:
                break
    # What follows a 101 is no body, and no HTTP.
    is_whole = is_whole and response.status != http.client.SWITCHING_PROTOCOLS
    response.close()
    return bytes(content[:MAX_BODY_BYTES]), is_whole


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
        # After 101 the connection speaks no HTTP any more, though nobody has asked for that.
        while 100 <= self.status <= 199 and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers = self.msg = cast(Any, None)
            super().begin()
        if lines.last not in (b"\r\n", b"\n"):
            raise HeadCutOff("the connection ended within the head of the response")
        self.fp = cast(Any, _BoundedLines(lines.file)) if self.chunked else lines.file


class _BoundedLines:
    """A file of which only a limited number of lines can be read; the rest of it is as it was.

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
