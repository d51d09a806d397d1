"""Classify an error of an HTTP exchange: its code, whose failure it is, and a text without data."""

from __future__ import annotations

import errno
import http.client
import ssl

from urllib3.exceptions import HTTPError

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached
from sync.http.connections import Exchange, ResponseTooLong

# By OpenSSL code; OpenSSL's own texts quote the requested name or address.
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
# This machine has no network, or no free socket.
_SENDER_ERRNOS = frozenset(
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


def reached(error: BaseException, exchange: Exchange) -> Reached:
    """How far a request got that ended in an error of ``requests`` or anything below it.

    A reused connection proves nothing: it was made earlier, and the peer may have closed it
    earlier.
    """
    error = _root(error)
    # The error for no byte at all, which our own deadline may cause, is a subclass of two others.
    is_response = isinstance(
        error, ConnectionRefusedError | ConnectionResetError | http.client.HTTPException
    ) and not isinstance(error, http.client.RemoteDisconnected)
    if exchange.is_connected or exchange.has_response_begun or is_response:
        return Reached.HOST
    number = error.errno if isinstance(error, OSError) else None
    if number in _NO_ROUTE_ERRNOS:
        return Reached.NO_ROUTE
    if number in _SENDER_ERRNOS or isinstance(error, ValueError):
        return Reached.NOT_TRIED
    return Reached.NOTHING


def classify(error: BaseException, exchange: Exchange, *, is_ipv6: bool) -> Failure:
    """The failure behind an error of ``requests`` or anything below it.

    Those libraries' texts quote addresses and URLs, so none of them is passed on.
    """
    error = _root(error)
    if exchange.deadline.is_over or isinstance(error, TimeoutError):
        if exchange.has_response_begun:
            return _receiver(ErrorKind.TOO_SLOW, "the response head was not complete in time")
        return _receiver(ErrorKind.TIMEOUT, "no response before the deadline")
    match error:
        case OSError(errno=number) if number in _SENDER_ERRNOS:
            # A missing address family on this machine is not an outage.
            if is_ipv6 and number in (errno.ENETUNREACH, errno.EADDRNOTAVAIL):
                return _receiver(ErrorKind.CONNECT, "its IPv6 address cannot be reached from here")
            return _sender(f"no connection can be opened from here ({errno.errorcode[number]})")
        case ssl.SSLCertVerificationError(verify_code=code):
            reason = _REFUSED_CERTIFICATES.get(code, f"OpenSSL code {code}")
            return _receiver(ErrorKind.TLS, f"certificate refused: {reason}")
        case ssl.SSLError():
            return _receiver(ErrorKind.TLS, "the TLS handshake failed")
        case ConnectionRefusedError():
            return _receiver(ErrorKind.CONNECT, "connection refused")
        case ConnectionError():
            return _receiver(ErrorKind.CONNECT, "the connection broke before a response")
        case ResponseTooLong():
            return _receiver(
                ErrorKind.HTTP, "the response has too many headers or interim responses"
            )
        case http.client.HTTPException() | HTTPError():
            return _receiver(ErrorKind.HTTP, "the response is not valid HTTP")
        case OSError():
            return _receiver(ErrorKind.CONNECT, "no connection")
    return _sender(f"unexpected {type(error).__name__}")


def _root(error: BaseException) -> BaseException:
    """The innermost error: libraries wrap errors as an attribute, a cause or an argument."""
    inner = [getattr(error, "reason", None), error.__cause__, *error.args]
    below = next((one for one in inner if isinstance(one, BaseException)), None)
    return error if below is None else _root(below)


def _receiver(kind: ErrorKind, detail: str) -> Failure:
    return Failure(kind, Attribution.RECEIVER, detail)


def _sender(detail: str) -> Failure:
    return Failure(ErrorKind.INTERNAL, Attribution.SENDER, detail)
