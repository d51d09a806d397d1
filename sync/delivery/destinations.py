"""The one place that chooses where webhooks go, for delivery runs and for every other caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sync.domain.destination import Destination
from sync.http.destination import HttpDestination
from sync.http.network import canary, network_policy
from sync.http.resolver import SystemResolver
from sync.http.secrets import SecretStore
from sync.http.transport import Transport
from sync.settings import WarehouseSettings


@contextmanager
def open_destination(
    environ: Mapping[str, str], settings: WarehouseSettings
) -> Iterator[Destination]:
    """The destination as this environment sets it up.

    Raises:
        ConfigurationError: a setting is malformed; names it.
    """
    policy = network_policy(environ, settings)
    resolver = SystemResolver(canary=canary(settings, environ))
    secrets = SecretStore.from_environment(environ)
    with Transport(policy=policy, resolver=resolver) as transport:
        yield HttpDestination(policy, secrets, transport, resolver)
