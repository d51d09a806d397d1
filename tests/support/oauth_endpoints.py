"""Endpoint configurations with OAuth, for tests of tokens."""

from __future__ import annotations

from sync.domain.endpoint import Endpoint
from sync.http.secrets import SecretStore, environment_variable
from tests.support.marts import endpoint as row

CLIENT_SECRET = "canary-client-secret"
TOKEN_URL = "https://auth.example.com/token"


def oauth_endpoint(
    endpoint_id: int = 7,
    *,
    url: str = "https://hooks.example.com/in",
    token_url: str | None = TOKEN_URL,
    client_id: str | None = "client-a",
) -> Endpoint:
    """One endpoint of the mart with a client id and a token URL."""
    columns = {"token_url": token_url, "oauth_client_id": client_id}
    return Endpoint.from_row(row(endpoint_id, url, **columns))


def secrets_for(*endpoint_ids: int, secret: str = CLIENT_SECRET) -> SecretStore:
    """A store with the client secrets of these endpoints."""
    names = [environment_variable(f"oauth-client-{one}") for one in endpoint_ids]
    return SecretStore(dict.fromkeys(names, secret), None)
