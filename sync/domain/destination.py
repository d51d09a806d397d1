"""What a delivery run needs of the place that webhooks go to; ``sync.http.destination`` is one."""

from __future__ import annotations

from dataclasses import dataclass
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


class Destination(Protocol):
    """Sends one thing at a time, and is called by many threads at once."""

    def readiness(self, endpoint: Endpoint) -> Ready | NotReady:
        """Look at the endpoint's settings and secrets, without a request."""
        ...

    def send(self, claim: Claim, endpoint: Endpoint, *, clock: Clock) -> Response | Failure:
        """Send a claim to an endpoint that is ready; never raises for what the endpoint does."""
        ...

    def reaches_network(self) -> bool | None:
        """Whether a host that must be reachable from here is; None when there is none to ask."""
        ...
