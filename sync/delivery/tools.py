"""What it takes to reach an endpoint, in a delivery run or outside of one: the same parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sync.clock import Clock
from sync.delivery.readiness import NotReady, Ready, readiness
from sync.delivery.sender import DispatchLimits, Sender
from sync.domain.endpoint import Endpoint
from sync.http.addresses import AddressPolicy
from sync.http.network import canary, network_policy
from sync.http.oauth import TokenSource
from sync.http.resolver import SystemResolver
from sync.http.secrets import SecretStore
from sync.http.transport import Transport
from sync.ledger.steps import Hook, nothing
from sync.settings import WarehouseSettings


@dataclass(frozen=True)
class SendingTools:
    """The parts of a delivery run that need no ledger, set up in this one place."""

    policy: AddressPolicy
    resolver: SystemResolver
    secrets: SecretStore
    transport: Transport
    tokens: TokenSource

    def readiness_of(self, endpoint: Endpoint) -> Ready | NotReady:
        """Whether an endpoint could be sent to, as far as settings and secrets tell."""
        return readiness(endpoint, policy=self.policy, secrets=self.secrets, tokens=self.tokens)

    def sender(
        self,
        *,
        run_id: str,
        clock: Clock,
        journal_directory: Path,
        limits: DispatchLimits,
        hook: Hook = nothing,
    ) -> Sender:
        """What a delivery run needs beside the warehouse."""
        return Sender(
            run_id=run_id,
            clock=clock,
            secrets=self.secrets,
            poster=self.transport,
            policy=self.policy,
            journal_directory=journal_directory,
            limits=limits,
            canary=self.resolver.reaches_canary,
            hook=hook,
        )


@contextmanager
def sending_tools(
    environ: Mapping[str, str], settings: WarehouseSettings
) -> Iterator[SendingTools]:
    """The tools as this environment sets them up.

    Raises:
        ConfigurationError: a setting is malformed; names it.
    """
    policy = network_policy(environ, settings)
    resolver = SystemResolver(canary=canary(settings, environ))
    secrets = SecretStore.from_environment(environ)
    with Transport(policy=policy, resolver=resolver) as transport:
        yield SendingTools(policy, resolver, secrets, transport, TokenSource(transport, secrets))
