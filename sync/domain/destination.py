"""What a delivery run needs from a destination; ``sync.http.destination`` implements it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sync.clock import Clock
from sync.domain.endpoint import Endpoint
from sync.domain.responses import Failure, Response
from sync.domain.states import Reason
from sync.domain.work import Claim


@dataclass(frozen=True)
class Ready:
    """No known problem keeps an endpoint from receiving webhooks."""

    signing_key_ids: str
    """Ids of the keys that sign its webhooks, newest first, separated by blanks."""
    target: str
    """A fingerprint of all settings that decide whether its target is refused."""


@dataclass(frozen=True)
class NotReady:
    """Its webhooks are held. ``problem`` names the setting to fix."""

    reason: Reason
    problem: str


class Stage(StrEnum):
    """The checks before the first webhook, in this order."""

    ADDRESS = "address"
    """The URL and every address of its name pass the address rules."""
    DNS = "dns"
    """The name resolves."""
    SIGNING_KEY = "signing_key"
    """There is at least one usable key."""
    AUTH = "auth"
    """The credentials exist; the token endpoint issues a token."""
    CONNECT = "connect"
    """A connection can be made."""
    TLS = "tls"
    """The certificate is valid for the name."""
    PING = "ping"
    """The response to a signed test event is a 2xx in time."""


@dataclass
class Problem(Exception):
    """The stage that failed, what is wrong, and what to do. Contains no secret and no address."""

    stage: Stage
    what: str
    fix: str


class Destination(Protocol):
    """Sends one request per call; many threads call it at once."""

    def readiness(self, endpoint: Endpoint) -> Ready | NotReady:
        """Check the endpoint's settings and secrets, without a request."""
        ...

    def send(self, claim: Claim, endpoint: Endpoint, *, clock: Clock) -> Response | Failure:
        """Send a claim, normally to an endpoint that is ready. Never raises because of what the
        endpoint does."""
        ...

    def stages(self, endpoint: Endpoint) -> Iterator[tuple[Stage, str]]:
        """Run the stages before a request one by one, including lookups and tokens; yields each
        stage that passed, or why it does not apply.

        Raises:
            Problem: a stage failed.
        """
        ...

    def refusal(self, url: str) -> str | None:
        """Why nothing can be sent to a URL that an operator gave, after a lookup."""
        ...

    def reaches_network(self) -> bool | None:
        """Whether a host that must be reachable from here responds; None if none is configured."""
        ...
