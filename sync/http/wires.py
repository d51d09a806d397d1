"""Connections under a deadline: their sockets are cut when it is over, whatever they wait for."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from urllib3.connection import HTTPConnection, HTTPSConnection

from sync.http.deadline import Deadline, Wire


class _Current(threading.local):
    """The deadline of the exchange that this thread is in; urllib3 has no way to pass it."""

    deadline: Deadline | None = None


_current = _Current()


@contextmanager
def under(deadline: Deadline) -> Iterator[None]:
    """Connections that this thread uses within the block are cut when the deadline is over."""
    _current.deadline = deadline
    try:
        yield
    finally:
        _current.deadline = None


class HeadCutOff(http.client.RemoteDisconnected):
    """The connection ended within the head of an answer."""


class _WholeHead(http.client.HTTPResponse):
    """Refuses half a head, which http.client takes for a whole one: a cut 200 is no delivery."""

    def begin(self) -> None:
        lines = _LastLine(self.fp)
        self.fp = cast(Any, lines)
        super().begin()
        self.fp = lines.file
        if lines.last not in (b"\r\n", b"\n"):
            raise HeadCutOff("the connection ended within the head of the answer")


class _LastLine:
    """Remembers the last line read from a file."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.file = file
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self.file.readline(limit)
        return self.last

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()


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

    response_class = _WholeHead
    _wire: Wire | None = None
    _is_head = False
    _head = b""
    _lines: list[str]

    def _new_conn(self) -> socket.socket:
        plain = super()._new_conn()
        if _current.deadline is not None:
            _current.deadline.has_connected = True
        seconds = plain.gettimeout()
        sock = _Blocking(fileno=plain.detach())
        sock.settimeout(seconds)
        self._wire = Wire(sock)
        if not self._hold():
            sock.close()
            raise TimeoutError("the deadline passed while connecting")
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        # A reused connection may have been cut since the pool looked; a new one is then opened.
        if self.sock is not None and not self._hold():
            self.close()
        if self.sock is not None:
            self.timeout = None
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
        # Only let go: an answer may still be read after this, and the deadline holds the wire.
        self._wire = None

    def _hold(self) -> bool:
        deadline = _current.deadline
        return self._wire is not None and deadline is not None and deadline.hold(self._wire)


class WatchedTls(Watched, HTTPSConnection):
    """The same for TLS; the handshake is under the deadline, too."""
