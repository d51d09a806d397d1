"""What every command shares: consoles, JSON output, and settings."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sync.errors import ConfigurationError
from sync.settings import EmbeddedWarehouse, WarehouseSettings, load_settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
RequestedBy = Annotated[
    str | None, typer.Option(help="Who asks, for the audit; the user of this shell if unset.")
]

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
        return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"{option} is {text!r}; it must look like 2026-11-24T00:00:00Z"
        ) from error


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


def print_sample(names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns that stay whole, for ids are copied; a course run is cut where room is short."""
    table = Table(box=None)
    for name in names:
        table.add_column(name, no_wrap=name != "course run", overflow="ellipsis")
    for row in rows:
        table.add_row(*(plain(value) for value in row))
    out.print(table)


def plain(value: object) -> str:
    """Text with brackets that rich would read as markup kept as they are."""
    return str(value).replace("[", r"\[")
