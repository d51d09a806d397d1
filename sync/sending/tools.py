"""What it takes to reach an endpoint outside a delivery run: the same parts as in one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sync.authentication.oauth import TokenSource
from sync.authentication.secrets import SecretStore
from sync.contract.routing import Endpoint
from sync.http.addresses import AddressPolicy
from sync.http.network import canary, network_policy
from sync.http.resolver import SystemResolver
from sync.http.transport import Transport
from sync.sending.readiness import NotReady, Ready, readiness
from sync.settings import WarehouseSettings


@dataclass(frozen=True)
class SendingTools:
    """The parts of a delivery run that need no ledger."""

    policy: AddressPolicy
    resolver: SystemResolver
    secrets: SecretStore
    transport: Transport
    tokens: TokenSource

    def readiness_of(self, endpoint: Endpoint) -> Ready | NotReady:
        """Whether an endpoint could be sent to, as far as settings and secrets tell."""
        return readiness(endpoint, policy=self.policy, secrets=self.secrets, tokens=self.tokens)


@contextmanager
def sending_tools(
    environ: Mapping[str, str], settings: WarehouseSettings
) -> Iterator[SendingTools]:
    """The tools as this environment sets them up.

    Raises:
        ConfigurationError: a setting is malformed; names it.
    """
    policy = network_policy(environ, settings)
    resolver = SystemResolver(canary=canary(settings))
    secrets = SecretStore.from_environment(environ)
    with Transport(policy=policy, resolver=resolver) as transport:
        yield SendingTools(policy, resolver, secrets, transport, TokenSource(transport, secrets))
