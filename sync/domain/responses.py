"""The result of one attempt, classified once, by the HTTP client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ErrorKind(StrEnum):
    """Failure codes; operators select by them, so they never change meaning."""

    DNS = "E_DNS"
    """The name did not resolve."""
    CONNECT = "E_CONNECT"
    """No connection, or it broke before a response."""
    TLS = "E_TLS"
    """The handshake failed or the certificate is not trusted."""
    TIMEOUT = "E_TIMEOUT"
    """No response started before the deadline."""
    HTTP = "E_HTTP"
    """A response that is not a success, or not HTTP."""
    REDIRECT = "E_REDIRECT"
    """The endpoint sent a redirect; redirects are never followed."""
    TOO_SLOW = "E_TOO_SLOW"
    """A response started but its headers were not complete before the deadline."""
    INVALID_TARGET = "E_INVALID_TARGET"
    """The address policy refused the target; nothing was sent."""
    INTERNAL = "E_INTERNAL"
    """A sender error."""


class Reached(StrEnum):
    """How far a request got: the evidence for whose failure it is.

    Set by the HTTP client, never guessed from a message.
    """

    NOT_CONFIGURED = "not_configured"
    """Nothing left this process: a setting or secret that the endpoint needs is missing."""
    NOT_TRIED = "not_tried"
    """Nothing left this process: refused by a rule, no free socket."""
    NO_ROUTE = "no_route"
    """The operating system has no route to the host, or a router reported that there is none."""
    NOTHING = "nothing"
    """Neither the host nor a name server responded: the host or our own network may be down."""
    NAME_SERVER = "name_server"
    """A name server reported that the name does not exist, so our network works."""
    HOST = "host"
    """A connection was made or refused, so our network works."""

    @property
    def proves_network(self) -> bool:
        """Whether it shows that our own network works."""
        return self in (Reached.NAME_SERVER, Reached.HOST)


class Attribution(StrEnum):
    """Whose failure it is. A sender error never uses up a receiver's attempts."""

    SENDER = "ours"
    RECEIVER = "theirs"


@dataclass(frozen=True)
class Response:
    """An HTTP response whose head arrived complete, whether or not its body did."""

    status: int
    retry_after: str | None
    """The header as sent, at most 128 characters."""
    excerpt: str = field(repr=False)
    """Facts about the body, at most 1,000 characters, from ``sync.http.excerpts``."""
    duration_ms: int = 0

    def is_success(self, others: frozenset[int] = frozenset()) -> bool:
        """Whether the receiver confirmed the event: with a 2xx or one of ``others``."""
        return 200 <= self.status <= 299 or self.status in others


@dataclass(frozen=True)
class ResponseWithBody:
    """A response whose body the caller needs, without an excerpt: it may be a secret."""

    status: int
    body: bytes = field(repr=False)
    """As received, at most 64 KiB; shorter than sent if the connection broke."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_whole: bool = True
    """False when the body is longer, was cut off or came in very many pieces."""
    duration_ms: int = 0


@dataclass(frozen=True)
class Failure:
    """No response. ``detail`` may be shown to a customer: no address, no URL, no secret."""

    error_kind: ErrorKind
    attribution: Attribution
    detail: str
    duration_ms: int = 0
    reached: Reached = Reached.NOTHING
    hosts: frozenset[str] = field(default=frozenset(), repr=False)
    """The name that was looked up and its addresses, to distinguish one dead host from many."""
