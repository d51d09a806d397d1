"""How a request authenticates: a bearer token, HTTP Basic, a fixed header, or nothing.

The secret for Basic or a header has one line. During a rotation it has two, newest first: the
sender uses the one that the receiver accepts, so the two sides need not switch at the same time.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sync.domain.endpoint import Authentication, Endpoint
from sync.domain.responses import Attribution, ErrorKind, Failure, Reached, Response
from sync.http.oauth import TOKEN_SECONDS, Bearer, Misconfigured, TokenSource
from sync.http.secrets import SecretError, SecretStore

SECOND_TRY_SECONDS = 1.0
"""With less time left after a 401, the second try is left to the next scheduled attempt."""
MOST_CREDENTIALS = 2
"""The new credential and the previous one."""
# The characters a header may contain: RFC 9110, section 5.5, without its obsolete bytes.
_CREDENTIAL = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,8190}[\x21-\x7e])?")


class WebhookPoster(Protocol):
    """Sends webhooks and alerts; ``sync.http.transport.Transport`` implements it."""

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Response | Failure: ...


@dataclass(frozen=True)
class Authorization:
    """The headers that authorize one request; none where the endpoint wants none."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    bearer: Bearer | None = None


class Authorizer:
    """The authorizations of all endpoints; safe to share between threads."""

    def __init__(self, tokens: TokenSource, secrets: SecretStore) -> None:
        self._tokens = tokens
        self._secrets = secrets
        self._refused: dict[int, str] = {}
        """The credential that each endpoint refused last: the other one is tried first."""

    def problem_of(self, endpoint: Endpoint) -> Misconfigured | None:
        """What the configuration lacks, without a request; None if it is complete."""
        match endpoint.scheme:
            case Authentication.OAUTH:
                return self._tokens.problem_of(endpoint)
            case Authentication.BASIC | Authentication.HEADER:
                found = self._credentials(endpoint)
                return found if isinstance(found, Misconfigured) else None
        return None

    def authorization(
        self, endpoint: Endpoint, deadline_seconds: float = TOKEN_SECONDS
    ) -> Authorization | Misconfigured | Failure:
        """The authorization for a request. A ``Failure`` comes from a token request."""
        match endpoint.scheme:
            case Authentication.OAUTH:
                found = self._tokens.authorization(endpoint, deadline_seconds)
                if not isinstance(found, Bearer):
                    return found
                return Authorization({"Authorization": found.header}, found)
            case Authentication.BASIC | Authentication.HEADER:
                credentials = self._credentials(endpoint)
                if isinstance(credentials, Misconfigured):
                    return credentials
                refused = self._refused.get(endpoint.endpoint_id)
                first = credentials[-1] if credentials[0] == refused else credentials[0]
                return Authorization(_header(endpoint, first))
        return Authorization()

    def refuse(self, endpoint: Endpoint, refused: Authorization) -> bool:
        """Note that the endpoint responded with 401; returns whether another credential exists."""
        if refused.bearer is not None:
            self._tokens.invalidate(endpoint, refused.bearer)
            return True
        credentials = self._credentials(endpoint) if refused.headers else ()
        if isinstance(credentials, Misconfigured):
            return False
        for one in credentials:
            if _header(endpoint, one) == refused.headers and len(credentials) > 1:
                self._refused[endpoint.endpoint_id] = one
                return True
        return False

    def _credentials(self, endpoint: Endpoint) -> tuple[str, ...] | Misconfigured:
        """The live values, newest first; at least one."""
        name = credential_name(endpoint)
        try:
            found = tuple(line.strip() for line in self._secrets.get(name).splitlines())
        except SecretError as error:
            return Misconfigured(endpoint.endpoint_id, str(error))
        problem = None
        if len(found) > MOST_CREDENTIALS:
            problem = f"{len(found)} lines, {MOST_CREDENTIALS} at most: the new one and the old"
        elif not all(_CREDENTIAL.fullmatch(one) for one in found):
            problem = "a line that is empty or not ASCII"
        elif endpoint.scheme is Authentication.BASIC and not all(":" in one for one in found):
            problem = "a line that is not user:password"
        if problem is not None:
            return Misconfigured(endpoint.endpoint_id, f"secret {name!r} has {problem}")
        return found


def post_authorized(
    poster: WebhookPoster,
    authorizer: Authorizer,
    endpoint: Endpoint,
    *,
    body: bytes,
    headers: Callable[[], Mapping[str, str]],
    deadline_seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Response | Failure:
    """One attempt at a webhook: one request, or two when the first one's credential was refused.

    ``headers`` is called right before each request, so the signed time is the request's time. The
    requests share ``deadline_seconds``, and token waits share ``TOKEN_SECONDS``; the call takes at
    most the sum of both. A failed token request is the attempt's failure.
    """
    post_seconds, token_seconds = deadline_seconds, TOKEN_SECONDS
    for is_last in (False, True):
        started = clock()
        authorization = authorizer.authorization(endpoint, token_seconds)
        token_seconds -= clock() - started
        if isinstance(authorization, Failure):
            return authorization
        if isinstance(authorization, Misconfigured):
            # Changed since the run's check: nothing was sent, and its webhooks are held.
            text = "the credentials of the endpoint are incomplete"
            return Failure(
                ErrorKind.INTERNAL, Attribution.SENDER, text, reached=Reached.NOT_CONFIGURED
            )
        started = clock()
        result = poster.post(
            endpoint.url,
            body=body,
            headers={**headers(), **authorization.headers},
            deadline_seconds=post_seconds,
        )
        post_seconds -= clock() - started
        if is_last or not isinstance(result, Response) or result.status != 401:
            return result
        if not authorizer.refuse(endpoint, authorization):
            return result
        if min(post_seconds, token_seconds) < SECOND_TRY_SECONDS:
            return result
    raise AssertionError("unreachable: the last round returns")


def credential_name(endpoint: Endpoint) -> str:
    """The name of the secret with an endpoint's credential, for ``basic`` or ``header``."""
    return f"webhook-{endpoint.scheme}-{endpoint.endpoint_id}"


def _header(endpoint: Endpoint, credential: str) -> Mapping[str, str]:
    if endpoint.scheme is Authentication.HEADER:
        return {endpoint.auth_header: credential}
    encoded = base64.b64encode(credential.encode()).decode()
    return {"Authorization": f"Basic {encoded}"}
