"""What a delivery run needs of the place that webhooks go to; ``sync.http.destination`` is one."""

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
    """Nothing is known that would keep an endpoint from being sent to."""

    signing_key_ids: str
    """Ids of the keys that sign its webhooks, newest first, separated by blanks."""
    target: str
    """A fingerprint of all settings by which its target is refused or not."""


@dataclass(frozen=True)
class NotReady:
    """Its webhooks are held. ``problem`` names the setting to fix."""

    reason: Reason
    problem: str


class Stage(StrEnum):
    """What is looked at before the first webhook, in this order."""

    ADDRESS = "address"
    """The URL and every address of its name keep the rules."""
    DNS = "dns"
    """The name resolves."""
    SIGNING_KEY = "signing_key"
    """At least one usable key is there."""
    AUTH = "auth"
    """Its credentials are there; the token endpoint gives a token."""
    CONNECT = "connect"
    """A connection comes about."""
    TLS = "tls"
    """The certificate is valid for the name."""
    PING = "ping"
    """The response to a signed test event is a 2xx in time."""


@dataclass
class Problem(Exception):
    """The stage that failed, what is wrong, and what to do. No secret, no address."""

    stage: Stage
    what: str
    fix: str


class Destination(Protocol):
    """Sends one thing at a time, and is called by many threads at once."""

    def readiness(self, endpoint: Endpoint) -> Ready | NotReady:
        """Look at the endpoint's settings and secrets, without a request."""
        ...

    def send(self, claim: Claim, endpoint: Endpoint, *, clock: Clock) -> Response | Failure:
        """Send a claim, as a rule to an endpoint that is ready; never raises for what the endpoint
        does."""
        ...

    def stages(self, endpoint: Endpoint) -> Iterator[tuple[Stage, str]]:
        """The stages before a request, one after the other, with look-ups and tokens: each that is
        passed, or why it does not apply.

        Raises:
            Problem: this stage has failed.
        """
        ...

    def refusal(self, url: str) -> str | None:
        """Why a URL that an operator gives cannot be sent to, after a look-up."""
        ...

    def reaches_network(self) -> bool | None:
        """Whether a host that must be reachable from here is; None when there is none to ask."""
        ...
