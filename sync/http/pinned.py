"""The guarded adapter of ``requests``: it connects to a vetted address and nowhere else.

The certificate is checked against the endpoint's name, not the address. The adapter is used
without a ``Session``, on purpose: a session reads proxies and ``.netrc`` from the environment,
keeps cookies, and reads the whole body of a redirect even when it is told to follow none.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import certifi
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

from sync.http.addresses import Address
from sync.http.urls import Target
from sync.http.wires import Exchange, TlsSocket, Watched, WatchedTls, silence_urllib3, under

POOLS = 256
"""Endpoints whose connections are kept; the longest unused ones are closed beyond that."""
CONNECTIONS_PER_POOL = 64
"""As many as one delivery process sends at once."""


class PinnedRequest(PreparedRequest):
    """A POST that knows the address to connect to."""

    def __init__(
        self,
        target: Target,
        address: Address,
        *,
        headers: Mapping[str, str],
        body: bytes,
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
        self._tls = ssl.create_default_context(cafile=ca_file or certifi.where())
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        # The name counts where it belongs, in the alternative names (RFC 9525); without those
        # OpenSSL would look at the common name, which may be any text.
        self._tls.hostname_checks_common_name = False
        self._tls.sslsocket_class = TlsSocket
        silence_urllib3()
        super().__init__(POOLS, CONNECTIONS_PER_POOL)

    def exchange(
        self, request: PinnedRequest, exchange: Exchange, *, connect_seconds: float
    ) -> Response:
        """Send, and read the head of the response; the caller reads ``raw`` and closes it.

        ``connect_seconds`` are for connection and handshake; for the rest only the deadline counts.
        ``exchange`` says afterwards what was seen of it, whatever came of it.

        Raises:
            Whatever requests, urllib3 and http.client raise.
        """
        with under(exchange):
            return self.send(request, stream=True, timeout=(connect_seconds, None))

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
        target, address = _pinned(request).target, _pinned(request).address
        key = _PoolKey(target.scheme, address, target.port, target.host)
        context = {
            **self.poolmanager.connection_pool_kw,
            "scheme": target.scheme,
            "host": str(address),
            "port": target.port,
        }
        if target.scheme == "https":
            context["server_hostname"] = target.host
        # By a key of our own: to make one of all settings, which are the same for all our pools,
        # costs a tenth of what a whole request does.
        return self.poolmanager.connection_from_pool_key(cast(Any, key), context)

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


class _PoolKey(NamedTuple):
    """What tells our pools of connections apart."""

    scheme: str
    host: Address
    port: int
    name: str


def _pinned(request: PreparedRequest) -> PinnedRequest:
    if not isinstance(request, PinnedRequest):
        raise TypeError("only a pinned request may be sent")
    return request


# The casts: urllib3 declares the classes of connections by a protocol its own do not match.
class _HttpPool(HTTPConnectionPool):
    ConnectionCls = cast(Any, Watched)


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = cast(Any, WatchedTls)
