"""The result of one attempt to send, classified once, by the HTTP client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ErrorKind(StrEnum):
    """Codes of failure; operators select by them, so they never change meaning."""

    DNS = "E_DNS"
    """The name did not resolve."""
    CONNECT = "E_CONNECT"
    """No connection, or it broke before a response."""
    TLS = "E_TLS"
    """The handshake failed or the certificate is not to be trusted."""
    TIMEOUT = "E_TIMEOUT"
    """No response began before the deadline."""
    HTTP = "E_HTTP"
    """A response that is not a success, or not HTTP."""
    REDIRECT = "E_REDIRECT"
    """The endpoint points elsewhere; nothing is ever followed."""
    TOO_SLOW = "E_TOO_SLOW"
    """A response began but its headers did not end before the deadline."""
    INVALID_TARGET = "E_INVALID_TARGET"
    """The address policy refused the target; nothing was sent."""
    INTERNAL = "E_INTERNAL"
    """A sender error."""


class Reached(StrEnum):
    """How far a request came: the evidence for whose failure it is.

    Set by the HTTP client, never guessed from a message.
    """

    NOT_CONFIGURED = "not_configured"
    """Nothing left this process: a setting or secret that the endpoint needs is missing."""
    NOT_TRIED = "not_tried"
    """Nothing left this process: refused by a rule, no free socket."""
    NO_ROUTE = "no_route"
    """The operating system knows no route to the host, or was told that there is none."""
    NOTHING = "nothing"
    """Neither the host nor a name server responded: it may be down, or our own network."""
    NAME_SERVER = "name_server"
    """A name server said that the name does not exist, so our network works."""
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
    """The head of an HTTP response arrived whole, whatever became of its body."""

    status: int
    retry_after: str | None
    """The header as sent, at most 128 characters."""
    excerpt: str = field(repr=False)
    """Facts about the body, at most 1,000 characters, by ``sync.http.excerpts``."""
    duration_ms: int = 0

    def is_success(self, others: frozenset[int] = frozenset()) -> bool:
        """Whether the receiver says that it has the event: by a 2xx, or by one of ``others``."""
        return 200 <= self.status <= 299 or self.status in others


@dataclass(frozen=True)
class ResponseWithBody:
    """A response whose body the caller needs, without an excerpt: it may be a secret."""

    status: int
    body: bytes = field(repr=False)
    """As it came over the wire, at most 64 KiB; shorter than sent if it broke off."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_whole: bool = True
    """False when the body is longer, broke off or came in very many pieces."""
    duration_ms: int = 0


@dataclass(frozen=True)
class Failure:
    """No response. ``detail`` is fit for a customer: no address, no URL, no secret."""

    error_kind: ErrorKind
    attribution: Attribution
    detail: str
    duration_ms: int = 0
    reached: Reached = Reached.NOTHING
    hosts: frozenset[str] = field(default=frozenset(), repr=False)
    """The name that was looked up, and its addresses: tells one dead host from many."""
