"""Send a webhook with its endpoint's token; after a 401 once more with a new one, and no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached, Response
from sync.domain.routing import Endpoint
from sync.http.oauth import TOKEN_SECONDS, Bearer, Misconfigured, TokenSource

SECOND_TRY_SECONDS = 1.0
"""With less time left after a 401, the next scheduled attempt is the better second try."""


class WebhookPoster(Protocol):
    """Sends webhooks; ``sync.http.transport.Transport`` is one."""

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Response | Failure: ...


def post_authorized(
    poster: WebhookPoster,
    tokens: TokenSource,
    endpoint: Endpoint,
    *,
    body: bytes,
    headers: Callable[[], Mapping[str, str]],
    deadline_seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Response | Failure:
    """One attempt at a webhook: one request, or two when the token of the first was refused.

    ``headers`` is called right before each request, so that the signed time is that of the
    request. The requests share ``deadline_seconds``, and waiting for tokens ``TOKEN_SECONDS``;
    the call takes no longer than both together. A failed token request is the attempt's failure.
    """
    post_seconds, token_seconds = deadline_seconds, TOKEN_SECONDS
    for is_last in (False, True):
        started = clock()
        authorization = tokens.authorization(endpoint, token_seconds)
        token_seconds -= clock() - started
        if isinstance(authorization, Failure):
            return authorization
        if isinstance(authorization, Misconfigured):
            # Changed since the run looked: nothing was sent, and its webhooks are held.
            text = "the OAuth settings of the endpoint are incomplete"
            return Failure(
                ErrorKind.INTERNAL, Attribution.SENDER, text, reached=Reached.NOT_CONFIGURED
            )
        extra = {"Authorization": authorization.header} if isinstance(authorization, Bearer) else {}
        started = clock()
        result = poster.post(
            endpoint.url,
            body=body,
            headers={**headers(), **extra},
            deadline_seconds=post_seconds,
        )
        post_seconds -= clock() - started
        is_refused = isinstance(result, Response) and result.status == 401
        if is_last or not is_refused or not isinstance(authorization, Bearer):
            return result
        tokens.invalidate(endpoint, authorization)
        if min(post_seconds, token_seconds) < SECOND_TRY_SECONDS:
            return result
    raise AssertionError("unreachable: the last round returns")
