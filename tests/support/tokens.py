"""Tokens without a network: a token endpoint whose responses a test chooses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sync.domain.responses import Attribution, ErrorKind, Failure, ResponseWithBody
from sync.http.authorization import Authorizer
from sync.http.oauth import Bearer, TokenSource
from tests.support.hand_clock import HandClock
from tests.support.oauth_endpoints import oauth_endpoint, secrets_for

ENDPOINT = oauth_endpoint()
DOWN = Failure(ErrorKind.CONNECT, Attribution.RECEIVER, "connection refused")


@dataclass
class Tokens:
    """Answers token requests without a network; the n-th token is ``token-n``."""

    expires_in: object = 3600
    failure: Failure | None = None
    deadlines: list[float] = field(default_factory=list)
    asked: list[tuple[str, bytes]] = field(default_factory=list, repr=False)
    """The content type and the body of each request."""

    def post_for_body(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> ResponseWithBody | Failure:
        self.deadlines.append(deadline_seconds)
        self.asked.append((headers["Content-Type"], body))
        if self.failure is not None:
            return self.failure
        content = {"access_token": f"token-{len(self.deadlines)}", "expires_in": self.expires_in}
        return ResponseWithBody(200, json.dumps(content).encode())


def source(tokens: Tokens, clock: HandClock | None = None) -> TokenSource:
    """Tokens of endpoint 7, whose secret exists."""
    return TokenSource(tokens, secrets_for(7), clock or HandClock())


def authorizer(tokens: Tokens) -> Authorizer:
    """The same, as an attempt uses them."""
    return Authorizer(source(tokens), secrets_for(7))


def header(authorization: object) -> str:
    """The value of the header; fails if there is no token."""
    assert isinstance(authorization, Bearer), authorization
    return authorization.header
