"""What keeps an endpoint from being sent to that lies outside the warehouse: target and secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from sync.domain.endpoint import Endpoint
from sync.domain.states import Reason
from sync.http.addresses import AddressPolicy
from sync.http.network import refusal_of
from sync.http.oauth import Misconfigured
from sync.http.secrets import SecretError, SecretStore
from sync.http.signing import SigningKey


@dataclass(frozen=True)
class Ready:
    """Nothing known; ``keys`` sign its webhooks, newest first."""

    keys: tuple[SigningKey, ...] = field(repr=False)


@dataclass(frozen=True)
class NotReady:
    """Its webhooks are held. ``problem`` names the setting to mend."""

    reason: Reason
    problem: str


class TokenSettings(Protocol):
    """Knows what an endpoint's OAuth configuration lacks, as ``oauth.TokenSource`` does."""

    def problem_of(self, endpoint: Endpoint) -> Misconfigured | None: ...


def readiness(
    endpoint: Endpoint,
    *,
    policy: AddressPolicy,
    secrets: SecretStore,
    tokens: TokenSettings | None = None,
) -> Ready | NotReady:
    """Look at URL, signing keys and OAuth settings, without a request and without a look-up."""
    refusal = refusal_of(endpoint.url, policy)
    if refusal is not None:
        return NotReady(Reason.ENDPOINT_INVALID, f"webhook_url: {refusal}")
    if endpoint.oauth_client_id and endpoint.token_url:
        refusal = refusal_of(endpoint.token_url, policy)
        if refusal is not None:
            return NotReady(Reason.ENDPOINT_INVALID, f"webhook_token_url: {refusal}")
    try:
        keys = secrets.signing_keys(endpoint.endpoint_id)
    except SecretError as error:
        return NotReady(Reason.SIGNING_KEY_MISSING, str(error))
    lacking = tokens.problem_of(endpoint) if tokens is not None else None
    if lacking is not None:
        return NotReady(Reason.OAUTH_INCOMPLETE, lacking.problem)
    return Ready(keys)
