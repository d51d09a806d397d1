"""Bearer tokens from OAuth client credentials: fetched once, cached, renewed early, dropped on 401.

The token endpoint is a customer's host like any other: its URL goes through the same address policy
and transport. Tokens and secrets are only in memory, and appear in no ``repr`` and no text.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import urlencode

from sync.domain.endpoint import Endpoint
from sync.domain.responses import (
    Attribution,
    ErrorKind,
    Failure,
    Reached,
    ResponseWithBody,
)
from sync.http.secrets import SecretError, SecretStore

TOKEN_SECONDS = 10.0
"""Deadline of one token request, and of all token waits of one webhook."""
EXPIRY_MARGIN_SECONDS = 60.0
"""A token is not used in its last minute: it must outlive the request that carries it."""
EARLY_SHARE = 0.1
EARLY_SECONDS = 120.0
"""Renewal starts in the last tenth of a token's use, at most two minutes before its end."""
RENEWAL_PAUSE_SECONDS = 10.0
"""Wait after a failed renewal while the old token still works."""
DEFAULT_LIFE_SECONDS = 300.0
"""Lifetime of a token without ``expires_in``, which RFC 6749, section 5.1, only recommends. Short,
since a new token costs one request; if the real lifetime is shorter, a 401 fetches a new token."""
LONGEST_LIFE_SECONDS = 86_400.0
"""Longer values are milliseconds, a date or a mistake, and a day is long enough for any token."""

# Codes of RFC 6749, section 5.2.
_KNOWN_ERRORS = frozenset(
    {
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
# The characters a header may contain, at a length that receivers accept.
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{0,20})?")
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


@dataclass(frozen=True)
class Bearer:
    """The value of the ``Authorization`` header."""

    header: str = field(repr=False)


@dataclass(frozen=True)
class Misconfigured:
    """The endpoint's credentials are incomplete: hold its webhooks.

    Sent without credentials they would only be refused. ``problem`` names what is missing, for an
    operator.
    """

    endpoint_id: int
    problem: str


class TokenPoster(Protocol):
    """Fetches tokens; ``sync.http.transport.Transport`` implements it."""

    def post_for_body(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> ResponseWithBody | Failure: ...


class TokenSource:
    """The tokens of all endpoints; safe to share between threads.

    No lock is held during a request, and each endpoint has its own request: a token server that
    hangs delays only its own endpoint.
    """

    def __init__(
        self,
        poster: TokenPoster,
        secrets: SecretStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` is a monotonic clock in seconds, used for token expiry."""
        self._poster = poster
        self._secrets = secrets
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[int, _Slot] = {}

    def problem_of(self, endpoint: Endpoint) -> Misconfigured | None:
        """What the configuration lacks, without a request; None if it is complete."""
        found = _credentials(endpoint, self._secrets)
        return found if isinstance(found, Misconfigured) else None

    def authorization(
        self, endpoint: Endpoint, deadline_seconds: float = TOKEN_SECONDS
    ) -> Bearer | Misconfigured | Failure:
        """The token of an endpoint. At most one request per endpoint is in progress.

        A ``Failure`` comes from the token request; treat it as the webhook's own failure.
        ``deadline_seconds`` is capped at ``TOKEN_SECONDS``.
        """
        credentials = _credentials(endpoint, self._secrets)
        if not isinstance(credentials, _Credentials):
            return credentials
        seconds = min(deadline_seconds, TOKEN_SECONDS)
        slot = self._slot(endpoint.endpoint_id, credentials)
        with slot.lock:
            usable = slot.token if slot.token and self._clock() < slot.token.usable_until else None
            # During a renewal, other threads use the old token while it works.
            if usable and (slot.fetch or self._clock() < usable.renew_at):
                return usable.bearer
            fetch, is_mine = slot.fetch or Future(), slot.fetch is None
            slot.fetch = fetch
        if is_mine:
            return self._fetch_for_all(slot, fetch, usable, seconds)
        try:
            return fetch.result(seconds)
        except TimeoutError:
            text = "token endpoint: no token in time"
            return Failure(ErrorKind.TIMEOUT, Attribution.RECEIVER, text)

    def invalidate(self, endpoint: Endpoint, bearer: Bearer) -> None:
        """Drop a refused token; a newer one, fetched in the meantime, is kept."""
        with self._lock:
            slot = self._slots.get(endpoint.endpoint_id)
        if slot is not None:
            with slot.lock:
                if slot.token is not None and slot.token.bearer == bearer:
                    slot.token = None

    def _slot(self, endpoint_id: int, credentials: _Credentials) -> _Slot:
        """The slot of these credentials; the slot of the endpoint's earlier ones is dropped."""
        with self._lock:
            slot = self._slots.get(endpoint_id)
            if slot is None or slot.fingerprint != credentials.fingerprint:
                slot = self._slots[endpoint_id] = _Slot(credentials)
            return slot

    def _fetch_for_all(
        self, slot: _Slot, fetch: _Fetch, usable: _Token | None, seconds: float
    ) -> Bearer | Failure:
        """Fetch a token and pass the result to all waiting threads. ``usable`` is the old token."""
        result: _Token | Failure = Failure(
            ErrorKind.INTERNAL, Attribution.SENDER, "the token request was interrupted"
        )
        is_kept = False
        try:
            result = self._fetch(slot.credentials, seconds)
        finally:
            with slot.lock:
                slot.fetch = None
                if isinstance(result, _Token):
                    slot.token = result
                elif usable is not None and slot.token is usable:
                    # No thread dropped the old token: keep it, and postpone the renewal a little.
                    is_kept = True
                    renew_at = self._clock() + RENEWAL_PAUSE_SECONDS
                    slot.token = replace(usable, renew_at=renew_at)
            fetch.set_result(result.bearer if isinstance(result, _Token) else result)
        return usable.bearer if is_kept and usable is not None else fetch.result()

    def _fetch(self, credentials: _Credentials, seconds: float) -> _Token | Failure:
        asked_at = self._clock()
        response = self._poster.post_for_body(
            credentials.token_url,
            body=credentials.body(),
            headers={
                "Accept": _JSON,
                "Content-Type": _FORM if credentials.is_form else _JSON,
            },
            deadline_seconds=seconds,
        )
        if isinstance(response, Failure):
            return replace(response, detail=f"token endpoint: {response.detail}")
        grant = read_grant(response)
        if isinstance(grant, Failure):
            return grant
        kept = max(0.0, grant.expires_in - EXPIRY_MARGIN_SECONDS)
        return _Token(
            Bearer(f"Bearer {grant.access_token}"),
            renew_at=asked_at + kept - min(EARLY_SECONDS, kept * EARLY_SHARE),
            usable_until=asked_at + kept,
        )


def client_secret_name(endpoint_id: int) -> str:
    """The name of the secret with an endpoint's OAuth client secret."""
    return f"oauth-client-{endpoint_id}"


@dataclass(frozen=True)
class _Credentials:
    """One configuration of an endpoint: a change of any part requires a new token."""

    client_id: str
    token_url: str = field(repr=False)
    client_secret: str = field(repr=False)
    scope: str
    audience: str
    is_form: bool

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha256(json.dumps(list(vars(self).values())).encode()).digest()

    def body(self) -> bytes:
        """The request body: JSON for the partner's API, or the form of RFC 6749, section 4.4."""
        asked = {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "grant_type": "client_credentials",
            "scope": self.scope,
            "audience": self.audience,
        }
        given = {name: value for name, value in asked.items() if value}
        return (urlencode(given) if self.is_form else json.dumps(given)).encode()


@dataclass(frozen=True)
class _Token:
    bearer: Bearer
    renew_at: float
    usable_until: float


_Fetch = Future[Bearer | Failure]
"""A token request in progress."""


class _Slot:
    """The token of one configuration, and the request for the next one."""

    def __init__(self, credentials: _Credentials) -> None:
        self.credentials = credentials
        self.fingerprint = credentials.fingerprint
        self.lock = threading.Lock()
        self.token: _Token | None = None
        self.fetch: _Fetch | None = None


def _credentials(endpoint: Endpoint, secrets: SecretStore) -> _Credentials | Misconfigured:
    problems = [] if endpoint.token_url else ["webhook_token_url is empty"]
    if endpoint.oauth_client_id is None:
        problems.append("client_id is empty")
    secret = ""
    try:
        secret = secrets.get(client_secret_name(endpoint.endpoint_id))
    except SecretError as error:
        problems.append(str(error))
    if endpoint.oauth_client_id and endpoint.token_url and secret:
        return _Credentials(
            endpoint.oauth_client_id,
            endpoint.token_url,
            secret,
            endpoint.oauth_scope,
            endpoint.oauth_audience,
            endpoint.is_oauth_form,
        )
    return Misconfigured(
        endpoint.endpoint_id,
        f"endpoint {endpoint.endpoint_id} takes a bearer token, but {'; and '.join(problems)}",
    )


@dataclass(frozen=True)
class Grant:
    """A token and its lifetime in seconds, 0 to ``LONGEST_LIFE_SECONDS``; 0 means one use."""

    access_token: str = field(repr=False)
    expires_in: float


def read_grant(response: ResponseWithBody) -> Grant | Failure:
    """The grant, or what is wrong with the response, which is always the token endpoint's error.

    A grant needs only a usable ``access_token``. It is used as a bearer token whatever the
    ``token_type``, and an ``expires_in`` that is not a number is ignored.
    """
    document = _parse(response.body)
    code = None if document is None else document.get("error")
    known = f" ({code})" if isinstance(code, str) and code in _KNOWN_ERRORS else ""
    if not 200 <= response.status <= 299:
        kind = ErrorKind.REDIRECT if 300 <= response.status <= 399 else ErrorKind.HTTP
        return _refused_token(f"status {response.status}{known}", kind)
    if document is None:
        return _refused_token("the response is not a complete JSON object")
    token = document.get("access_token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return _refused_token(f"the response has no usable access_token{known}")
    return Grant(token, _life(document.get("expires_in")))


def _life(expires_in: object) -> float:
    """The lifetime in seconds, from a number or a number as text."""
    if isinstance(expires_in, str) and _NUMBER.fullmatch(expires_in.strip()):
        expires_in = float(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return DEFAULT_LIFE_SECONDS
    if math.isnan(expires_in):
        return DEFAULT_LIFE_SECONDS
    return float(min(max(expires_in, 0), LONGEST_LIFE_SECONDS))


def _whole(text: str) -> float:
    # int() raises on thousands of digits, which would reject the whole document.
    return int(text) if len(text) <= 20 else float(text)


def _parse(body: bytes) -> Mapping[str, object] | None:
    """The JSON object; None when the body is not one or was cut off."""
    try:
        document = json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _refused_token(problem: str, kind: ErrorKind = ErrorKind.HTTP) -> Failure:
    return Failure(kind, Attribution.RECEIVER, f"token endpoint: {problem}", reached=Reached.HOST)
