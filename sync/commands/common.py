"""What every command shares: consoles, JSON output, settings, and the tools that send."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sync.errors import ConfigurationError
from sync.settings import EmbeddedWarehouse, WarehouseSettings, load_settings

if TYPE_CHECKING:
    from sync.addresses import AddressPolicy
    from sync.oauth import TokenSource
    from sync.resolver import SystemResolver
    from sync.secrets import SecretStore
    from sync.transport import Transport

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class SendingTools:
    """What a command needs to reach an endpoint: the same parts as a delivery run."""

    policy: AddressPolicy
    resolver: SystemResolver
    secrets: SecretStore
    transport: Transport
    tokens: TokenSource


@contextmanager
def sending_tools(settings: WarehouseSettings) -> Iterator[SendingTools]:
    """The tools as this environment sets them up.

    Raises:
        ConfigurationError: a setting is malformed; names it.
    """
    from sync.network import canary, network_policy
    from sync.oauth import TokenSource
    from sync.resolver import SystemResolver
    from sync.secrets import SecretStore
    from sync.transport import Transport

    policy = network_policy(os.environ, settings)
    resolver = SystemResolver(canary=canary(settings))
    secrets = SecretStore.from_environment(os.environ)
    with Transport(policy=policy, resolver=resolver) as transport:
        yield SendingTools(policy, resolver, secrets, transport, TokenSource(transport, secrets))


def ready_settings() -> WarehouseSettings:
    """The settings of this environment, with the embedded warehouse up when it is the one."""
    settings = load_settings(os.environ)
    if isinstance(settings, EmbeddedWarehouse):
        from sync.local.embedded.lifecycle import ensure_running

        ensure_running(settings)
    return settings


def embedded_settings() -> EmbeddedWarehouse:
    """The settings of the embedded warehouse.

    Raises:
        ConfigurationError: this environment selects Snowflake.
    """
    settings = load_settings(os.environ)
    if not isinstance(settings, EmbeddedWarehouse):
        raise ConfigurationError(
            "this command is about the embedded warehouse, but SNOWFLAKE_* settings select "
            "Snowflake; unset them to use it"
        )
    return settings


def utc_now() -> datetime:
    """This machine's time, naive, in UTC: good for a signature, not for a lease."""
    return datetime.now(UTC).replace(tzinfo=None)


def moment(option: str, text: str | None) -> datetime | None:
    """An ISO 8601 moment as naive UTC; one without a zone is UTC.

    Raises:
        ConfigurationError: the text is no such moment; names the option.
    """
    if text is None or text == "":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{option} is {text!r}; it must look like 2026-11-24T00:00:00Z"
        ) from error
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on standard output."""
    print(json.dumps(document, indent=2, default=str))


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table, or the words that there is nothing."""
    if not rows:
        out.print("no rows")
        return
    table = Table(box=None)
    for name in rows[0]:
        table.add_column(name, no_wrap=name == "webhook_id", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else plain(value) for value in row.values()))
    out.print(table)
    out.print(f"{len(rows)} rows")


def add_column(table: Table, name: str) -> None:
    """A column that stays whole, for ids are copied; a course run is cut where room is short."""
    is_cut = name == "course run"
    table.add_column(name, no_wrap=not is_cut, overflow="ellipsis")


def plain(value: object) -> str:
    """Text with brackets that rich would read as markup kept as they are."""
    return str(value).replace("[", r"\[")
