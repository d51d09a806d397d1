"""Webhooks over HTTP: an endpoint's readiness, and one signed request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from sync.clock import Clock
from sync.domain.destination import NotReady, Problem, Ready, Stage
from sync.domain.endpoint import Authentication, Endpoint
from sync.domain.responses import Attribution, Failure, Response
from sync.domain.states import Reason
from sync.domain.work import Claim
from sync.http.addresses import AddressPolicy, vet
from sync.http.authorization import Authorization, Authorizer, WebhookPoster, post_authorized
from sync.http.headers import REPLAY_HEADER, TEST_HEADER, request_headers
from sync.http.network import refusal_of
from sync.http.oauth import Misconfigured, TokenPoster, TokenSource
from sync.http.resolver import ResolutionFailed, SystemResolver
from sync.http.secrets import SecretError, SecretStore
from sync.http.signing import SigningKey
from sync.http.transport import MAX_LOOKUP_SECONDS
from sync.http.urls import InvalidTarget


class Poster(WebhookPoster, TokenPoster, Protocol):
    """Sends bytes to a URL under a total deadline; never raises because of an endpoint."""


@dataclass
class HttpDestination:
    """Everything needed to reach endpoints, in a delivery run or outside of one."""

    policy: AddressPolicy
    secrets: SecretStore
    poster: Poster
    resolver: SystemResolver = field(default_factory=SystemResolver)
    """Its canary is tried before silence is attributed to our own network."""
    authorizer: Authorizer = field(init=False)
    _keys: dict[int, tuple[SigningKey, ...]] = field(init=False, default_factory=dict)
    """The keys that ``readiness`` has read, by endpoint."""

    def __post_init__(self) -> None:
        self.authorizer = Authorizer(TokenSource(self.poster, self.secrets), self.secrets)

    def readiness(self, endpoint: Endpoint) -> Ready | NotReady:
        """Check URL, signing keys and credentials, without a request and without a lookup."""
        urls = {"webhook_url": endpoint.url}
        if endpoint.scheme is Authentication.OAUTH and endpoint.token_url:
            urls["webhook_token_url"] = endpoint.token_url
        for setting, url in urls.items():
            refusal = refusal_of(url, self.policy)
            if refusal is not None:
                return NotReady(Reason.ENDPOINT_INVALID, f"{setting}: {refusal}")
        try:
            keys = self.secrets.signing_keys(endpoint.endpoint_id)
        except SecretError as error:
            return NotReady(Reason.SIGNING_KEY_MISSING, str(error))
        lacking = self.authorizer.problem_of(endpoint)
        if lacking is not None:
            return NotReady(Reason.OAUTH_INCOMPLETE, lacking.problem)
        self._keys[endpoint.endpoint_id] = keys
        return Ready(" ".join(key.key_id for key in keys), self._fingerprint(endpoint))

    def send(self, claim: Claim, endpoint: Endpoint, *, clock: Clock) -> Response | Failure:
        """Send one request, signed as late as possible, with the timestamp of this attempt.

        Raises:
            SecretError: the endpoint is not ready: it has no usable signing key.
        """
        keys = self._keys.get(endpoint.endpoint_id) or self.secrets.signing_keys(
            endpoint.endpoint_id
        )
        marks = {REPLAY_HEADER: claim.replay_id is not None, TEST_HEADER: claim.is_test}
        return post_authorized(
            self.poster,
            self.authorizer,
            endpoint,
            body=claim.body,
            # Called again for the second try after a 401, so its signature has the current time.
            headers=lambda: request_headers(
                webhook_id=claim.webhook_id,
                body=claim.body,
                keys=keys,
                clock=clock,
                markers=[name for name, is_set in marks.items() if is_set],
                extra=endpoint.headers_with(claim.payload_format),
            ),
            deadline_seconds=endpoint.timeout_seconds,
        )

    def stages(self, endpoint: Endpoint) -> Iterator[tuple[Stage, str]]:
        """URL and addresses, signing keys, and a token where one is needed."""
        try:
            self._vet(endpoint.url)
        except InvalidTarget as refusal:
            raise Problem(
                Stage.ADDRESS, str(refusal), "correct webhook_url in the LMS's configuration"
            ) from None
        except ResolutionFailed as failed:
            yield Stage.ADDRESS, ""
            is_ours = failed.attribution is Attribution.SENDER
            raise Problem(
                Stage.DNS,
                str(failed),
                "check the name servers of this machine; it is a sender error"
                if is_ours
                else "correct the host in webhook_url, or ask its owner to repair the DNS entry",
            ) from None
        yield Stage.ADDRESS, ""
        yield Stage.DNS, ""
        try:
            self.secrets.signing_keys(endpoint.endpoint_id)
        except SecretError as error:
            raise Problem(Stage.SIGNING_KEY, str(error), "provide the secret named here") from None
        yield Stage.SIGNING_KEY, ""
        match self.authorizer.authorization(endpoint):
            case Authorization(headers=headers):
                yield Stage.AUTH, "" if headers else "it takes no credentials"
            case Misconfigured(problem=problem):
                raise Problem(Stage.AUTH, problem, "provide what is named here")
            case Failure(detail=detail):
                raise Problem(
                    Stage.AUTH, detail, "check webhook_token_url, client_id and client secret"
                )

    def refusal(self, url: str) -> str | None:
        """Refused by the address rules, or because its name does not resolve."""
        try:
            self._vet(url)
        except (InvalidTarget, ResolutionFailed) as refused:
            return str(refused)
        return None

    def reaches_network(self) -> bool | None:
        """Try the canary."""
        return self.resolver.reaches_canary()

    def _vet(self, url: str) -> None:
        vet(
            url,
            policy=self.policy,
            resolver=self.resolver,
            timeout_seconds=MAX_LOOKUP_SECONDS,
        )

    def _fingerprint(self, endpoint: Endpoint) -> str:
        policy = self.policy
        rules = [sorted(policy.ports), sorted(policy.development_targets)]
        text = json.dumps([endpoint.url, endpoint.token_url, *rules], default=str)
        return hashlib.sha256(text.encode()).hexdigest()
