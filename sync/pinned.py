"""The guarded adapter of ``requests``: it connects to a vetted address and nowhere else.

The certificate is checked against the endpoint's name, not the address. The adapter is used
without a ``Session``, on purpose: a session reads proxies and ``.netrc`` from the environment,
keeps cookies, and reads the whole body of a redirect even when it is told to follow none.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import certifi
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from sync.addresses import Address
from sync.deadline import Deadline, Wire
from sync.urls import Target

POOLS = 256
"""Endpoints whose connections are kept; the longest unused ones are closed beyond that."""
CONNECTIONS_PER_POOL = 64
"""As many as one delivery process sends at once."""


class PinnedRequest(PreparedRequest):
    """A POST that knows the address to connect to and the time it may take."""

    def __init__(
        self,
        target: Target,
        address: Address,
        deadline: Deadline,
        *,
        headers: Mapping[str, str],
        body: bytes,
    ) -> None:
        """Raises ``requests.exceptions.InvalidHeader`` for a header that cannot be sent."""
        super().__init__()
        self.target = target
        self.address = address
        self.deadline = deadline
        self.method = "POST"
        # Not prepared anew: a second parser could read the vetted URL in another way.
        self.url = target.url
        self.prepare_headers({**headers, "Host": target.host_header})
        self.prepare_body(body, None)


class PinnedAdapter(HTTPAdapter):
    """Connections by vetted address, under a deadline, TLS 1.2 or later with full verification."""

    def __init__(self, *, ca_file: Path | None) -> None:
        """``ca_file`` replaces the public authorities by those of one PEM file."""
        self._tls = ssl.create_default_context(cafile=ca_file or certifi.where())
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        super().__init__(POOLS, CONNECTIONS_PER_POOL)

    def exchange(self, request: PinnedRequest, *, connect_seconds: float) -> Response:
        """Send, and read the head of the answer; the caller reads ``raw`` and closes it.

        Raises:
            Whatever requests, urllib3 and http.client raise.
        """
        _current.deadline = request.deadline
        try:
            return self.send(
                request, stream=True, timeout=(connect_seconds, request.deadline.remaining())
            )
        finally:
            _current.deadline = None

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
        """Pools go by address, port and name."""
        target = _pinned(request).target
        return self.poolmanager.connection_from_host(
            str(_pinned(request).address),
            target.port,
            scheme=target.scheme,
            pool_kwargs={"server_hostname": target.host} if target.scheme == "https" else None,
        )

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:  # noqa: ARG002
        """The path as it was vetted."""
        return _pinned(request).target.path

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to do: the shared TLS context verifies, and loads its authorities once."""

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """Status, headers and the raw answer: nobody here wants cookies, or text decoded."""
        response = Response()
        response.status_code = resp.status
        response.headers = resp.headers
        response.raw = resp
        response.request = req
        return response


def _pinned(request: PreparedRequest) -> PinnedRequest:
    if not isinstance(request, PinnedRequest):
        raise TypeError("only a pinned request may be sent")
    return request


class _Current(threading.local):
    """The deadline of the exchange that this thread is in; urllib3 has no way to pass it."""

    deadline: Deadline | None = None


_current = _Current()


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


class _Watched(HTTPConnection):
    """Puts its socket under the deadline of the exchange that uses it."""

    response_class = _WholeHead
    _wire: Wire | None = None
    _is_head = False
    _head = b""

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._wire = Wire(sock)
        if not self._hold():
            sock.close()
            raise TimeoutError("the deadline passed while connecting")
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        # A reused connection may have been cut since the pool looked; a new one is then opened.
        if self.sock is not None and not self._hold():
            self.close()
        self._head = b""
        super().request(*args, **kwargs)
        if self._head:
            self.send(b"")

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        self._is_head = True
        super().endheaders(*args, **kwargs)

    def send(self, data: Any) -> None:
        # The head goes out with the body: by itself it costs another packet and another wake-up
        # of the receiver.
        if self._is_head:
            self._is_head, self._head = False, data
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


class _WatchedTls(_Watched, HTTPSConnection):
    """The same for TLS; the handshake is under the deadline, too."""


# The casts: urllib3 declares the classes of connections by a protocol its own do not match.
class _HttpPool(HTTPConnectionPool):
    ConnectionCls = cast(Any, _Watched)


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = cast(Any, _WatchedTls)
