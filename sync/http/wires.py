"""Connections under a deadline: their sockets are cut when it is over, whatever they wait for."""

from __future__ import annotations

import http.client
import io
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from urllib3.connection import HTTPConnection, HTTPSConnection

from sync.http.deadline import Deadline, Wire

MAX_LINES = 256
MAX_LINE_BYTES = 8 * 1024
MAX_LINES_BYTES = 32 * 1024
"""Of all heads of a response together, interim ones included, and again of a chunked body: each
chunk begins with a line, and its trailers are lines."""


@dataclass
class Exchange:
    """One request that a thread has under way, and what is seen of it on its connection."""

    deadline: Deadline
    needs_new_connection: bool = False
    """Whether the request must not go out on a connection that another one has used."""
    is_reused: bool = False
    """Whether it went out on such a connection."""
    has_response_begun: bool = False
    """Whether a byte of a response has come, be it of an interim one."""


class _Current(threading.local):
    """The exchange that this thread is in; urllib3 has no way to pass it."""

    exchange: Exchange | None = None


_current = _Current()


@contextmanager
def under(exchange: Exchange) -> Iterator[None]:
    """Connections that this thread uses within the block are cut when the deadline is over."""
    _current.exchange = exchange
    try:
        yield
    finally:
        _current.exchange = None


def _exchange() -> Exchange:
    if _current.exchange is None:
        raise RuntimeError("a connection may be used within `under` only")
    return _current.exchange


def _is_of_no_exchange(record: logging.LogRecord) -> bool:  # noqa: ARG001
    return _current.exchange is None


def silence_urllib3() -> None:
    """Drop what urllib3 logs of our exchanges: its texts hold the URL, and the URL may a token.

    A receiver brings such a text about by a malformed header, at level warning. What else in the
    process uses urllib3 goes on logging.
    """
    # A filter of a parent does not see the records of its children.
    for module in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
        logger = logging.getLogger(f"urllib3.{module}")
        if _is_of_no_exchange not in logger.filters:
            logger.addFilter(_is_of_no_exchange)


class HeadCutOff(http.client.RemoteDisconnected):
    """The connection ended within the head of a response."""


class ResponseTooLong(http.client.HTTPException):
    """More interim responses, headers, chunks or trailers than anybody needs."""


class _FinalResponse(http.client.HTTPResponse):
    """The first response that is no interim one (RFC 9110, 15.2), and only with a whole head.

    http.client takes 102, 103 and 104 for final, and half a head for a whole one: then a hint
    would be a failure, and a 200 that was cut off a delivery.
    """

    def begin(self) -> None:
        lines = _BoundedLines(self.fp)
        self.fp = cast(Any, lines)
        exchange = _exchange()
        # Waits for the first byte; empty when the connection ends without one.
        exchange.has_response_begun = bool(lines.file.peek(1))
        exchange.deadline.has_reached_host |= exchange.has_response_begun
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

    Where http.client reads lines, a server can send them without end and keep the processor busy
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
        # RFC 9112, 2.2. The parser of http.client would see the end of a line in it.
        if b"\r" in self.last[:-2]:
            raise http.client.HTTPException("a carriage return within a line")
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class _Blocking(socket.socket):
    """A socket that is only told what it does not do already.

    Once connected it has no timeout: the deadline's watchdog cuts it. A socket with one asks
    the system before each read and write whether it may, and setting one asks as well; each
    time the interpreter is given up, and a busy process waits to get it back.
    """

    def settimeout(self, value: float | None, /) -> None:
        if value != self.gettimeout():
            super().settimeout(value)


class TlsSocket(_Blocking, ssl.SSLSocket):
    """The same for TLS."""


class Watched(HTTPConnection):
    """Puts its socket under the deadline of the exchange that uses it."""

    response_class = _FinalResponse
    _wire: Wire | None = None
    _is_used = False
    _is_head = False
    _head = b""
    _lines: list[str]

    def _new_conn(self) -> socket.socket:
        plain = super()._new_conn()
        _exchange().deadline.has_reached_host = True
        seconds = plain.gettimeout()
        sock = _Blocking(fileno=plain.detach())
        sock.settimeout(seconds)
        self._wire = Wire(sock)
        if not self._hold():
            sock.close()
            raise TimeoutError("the deadline passed while connecting")
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        exchange = _exchange()
        # A reused connection may have been cut since the pool looked; a new one is then opened.
        is_unfit = self._is_used and exchange.needs_new_connection
        if self.sock is not None and (is_unfit or not self._hold()):
            self.close()
        if self.sock is not None:
            self.timeout = None
        exchange.is_reused = self._is_used
        self._is_used = True
        self._head = b""
        self._lines = []
        super().request(*args, **kwargs)
        if self._head:
            self.send(b"")

    def putheader(self, header: Any, *values: Any) -> None:
        # All at once, and not each by itself: requests has checked them, and each is one text.
        (value,) = values
        self._lines.append("".join((header, ": ", value, "\r\n")))

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        self._is_head = True
        super().endheaders(*args, **kwargs)

    def send(self, data: Any) -> None:
        # The head goes out with the body: by itself it costs another packet and another wake-up
        # of the receiver.
        if self._is_head:
            self._is_head = False
            # The headers go between the request line and the empty line that ends the head.
            self._head = data[:-2] + "".join(self._lines).encode("latin-1") + b"\r\n"
            return
        data, self._head = self._head + data, b""
        super().send(data)

    def close(self) -> None:
        super().close()
        # Only let go: a response may still be read after this, and the deadline holds the wire.
        self._wire = None
        self._is_used = False

    def _hold(self) -> bool:
        return self._wire is not None and _exchange().deadline.hold(self._wire)


class WatchedTls(Watched, HTTPSConnection):
    """The same for TLS; the handshake is under the deadline, too."""
