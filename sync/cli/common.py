"""What every command shares: consoles, JSON output, and settings."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sync.errors import ConfigurationError
from sync.settings import EmbeddedWarehouse, WarehouseSettings, load_settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

# No emoji: rich would draw one for the ":id:" in a statement that an error quotes.
out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


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


def user_name() -> str:
    """Who runs this command, for the audit."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return "unknown"


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on standard output."""
    print(json.dumps(document, indent=2, default=str))


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table, where there are rows. Ids stay whole, so that they can be copied."""
    if not rows:
        return
    table = Table(box=None)
    for name in rows[0]:
        table.add_column(name, no_wrap=name == "webhook_id", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else plain(value) for value in row.values()))
    out.print(table)


def plain(value: object) -> str:
    """Text with brackets that rich would read as markup kept as they are."""
    return str(value).replace("[", r"\[")
