"""Read the error of an HTTP exchange once: its code, whose fault it is, and a text without data."""

from __future__ import annotations

import errno
import http.client
import ssl
from collections.abc import Iterator

from requests.exceptions import SSLError as RequestsSslError
from urllib3.exceptions import (
    ConnectTimeoutError,
    InvalidHeader,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)
from urllib3.exceptions import SSLError as Urllib3SslError

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached
from sync.http.connections import Exchange, HeadCutOff, ResponseTooLong

_TLS_ERRORS = (ssl.SSLError, RequestsSslError, Urllib3SslError, ssl.CertificateError)
# By the codes of OpenSSL, whose own texts quote the name or the address that was asked for.
_REFUSED_CERTIFICATES = {
    9: "not valid yet",
    10: "expired",
    18: "self-signed",
    19: "self-signed in its chain",
    20: "issuer unknown, or an intermediate certificate is missing",
    21: "issuer unknown, or an intermediate certificate is missing",
    23: "revoked",
    62: "it is not for this host name",
    64: "it is not for this address",
}
# This machine has no network, or no room for another socket.
_OUR_ERRNOS = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.EMFILE,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
    }
)

_NO_ROUTE_ERRNOS = frozenset(
    {errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH}
)
_HOST_ERRORS = (
    ConnectionRefusedError,
    ConnectionResetError,
    InvalidHeader,
    http.client.HTTPException,
)


def reached(error: BaseException, exchange: Exchange) -> Reached:
    """How far the exchange behind an error of ``requests`` or anything below it came.

    A connection that is used again proves nothing: it was made before, and a peer that closed it
    may have done so before, too.
    """
    causes = list(_all(error))
    if exchange.is_connected or exchange.has_response_begun or any(map(_is_response, causes)):
        return Reached.HOST
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if numbers & _NO_ROUTE_ERRNOS:
        return Reached.NO_ROUTE
    if numbers & _OUR_ERRNOS or any(isinstance(cause, ValueError) for cause in causes):
        return Reached.NOT_TRIED
    return Reached.NOTHING


def _is_response(error: BaseException) -> bool:
    """Something came back: a refusal, a reset, or bytes, whatever they were worth."""
    # The error for no byte at all, which our own deadline may cause, is derived from two others.
    is_nothing = isinstance(error, http.client.RemoteDisconnected)
    return isinstance(error, HeadCutOff) or (isinstance(error, _HOST_ERRORS) and not is_nothing)


def classify(error: BaseException, exchange: Exchange, *, is_ipv6: bool) -> Failure:
    """The failure behind an error of ``requests`` or anything below it.

    The texts of those libraries quote addresses and URLs, so none of them is passed on.
    """
    causes = list(_all(error))
    if exchange.deadline.is_over:
        if exchange.has_response_begun:
            return _theirs(ErrorKind.TOO_SLOW, "the head of the response did not end in time")
        return _theirs(ErrorKind.TIMEOUT, "no response before the deadline")
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in _OUR_ERRNOS:
            # One address family missing here is no outage.
            if is_ipv6 and cause.errno in (errno.ENETUNREACH, errno.EADDRNOTAVAIL):
                return _theirs(ErrorKind.CONNECT, "its IPv6 address cannot be reached from here")
            return _ours(f"no connection can be opened from here ({errno.errorcode[cause.errno]})")
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            code = cause.verify_code
            reason = _REFUSED_CERTIFICATES.get(code, f"OpenSSL code {code}")
            return _theirs(ErrorKind.TLS, f"certificate refused: {reason}")
    if any(isinstance(cause, _TLS_ERRORS) for cause in causes):
        return _theirs(ErrorKind.TLS, "the TLS handshake failed")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return _theirs(ErrorKind.CONNECT, "connection refused")
    if any(_is_timeout(cause) for cause in causes):
        return _theirs(ErrorKind.TIMEOUT, "no response before the deadline")
    if any(isinstance(cause, ConnectionError) for cause in causes):
        return _theirs(ErrorKind.CONNECT, "the connection broke before a response")
    if any(isinstance(cause, ResponseTooLong) for cause in causes):
        return _theirs(ErrorKind.HTTP, "the response has too many headers or interim responses")
    if any(isinstance(cause, InvalidHeader | http.client.HTTPException) for cause in causes):
        return _theirs(ErrorKind.HTTP, "the response is not valid HTTP")
    if any(isinstance(cause, OSError | ProtocolError) for cause in causes):
        return _theirs(ErrorKind.CONNECT, "no connection")
    return _ours(f"unexpected {type(causes[-1]).__name__}")


def _is_timeout(error: BaseException) -> bool:
    # urllib3 derives its error for any failed connection from the one for a slow connection.
    is_slow = isinstance(error, ConnectTimeoutError | ReadTimeoutError)
    return is_slow and not isinstance(error, NewConnectionError)


def _all(error: BaseException) -> Iterator[BaseException]:
    """The error and every error inside it: libraries wrap by cause, by attribute, by argument."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = [*current.args, getattr(current, "reason", None), current.__cause__]
        if not current.__suppress_context__:
            inner.append(current.__context__)
        waiting.extend(one for one in inner if isinstance(one, BaseException))


def _theirs(kind: ErrorKind, detail: str) -> Failure:
    return Failure(kind, Attribution.RECEIVER, detail)


def _ours(detail: str) -> Failure:
    return Failure(ErrorKind.INTERNAL, Attribution.SENDER, detail)
