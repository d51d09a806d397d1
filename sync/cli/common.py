"""What every command shares: consoles, JSON output, and settings."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from sync.errors import ConfigurationError
from sync.operations.operation import Report
from sync.settings import EmbeddedWarehouse, WarehouseSettings, load_settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

WIDEST = 10_000
"""Wider than any table, in characters."""

# No emoji: rich would draw one for the ":id:" in a statement that an error quotes.
out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


class _Group(TyperGroup):
    """Lists each command with its full first sentence, which typer would cut at 80 columns."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [self.commands[name] for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(one.name, one.get_short_help_str(WIDEST)) for one in commands])


def command_group(text: str, **options: Any) -> typer.Typer:
    """A program or a group of commands; ``text`` is its help.

    Help is plain text, wrapped between words: in typer's boxes the names of options and variables
    do not fit into 80 columns and are cut.
    """
    return typer.Typer(
        cls=_Group, no_args_is_help=True, rich_markup_mode=None, help=text, **options
    )


def ready_settings() -> WarehouseSettings:
    """The settings of this environment; starts the embedded warehouse if they select it."""
    settings = load_settings(os.environ)
    if isinstance(settings, EmbeddedWarehouse):
        from sync.local.embedded.lifecycle import Running, ensure_running, status

        was_running = isinstance(status(settings.port), Running)
        ensure_running(settings)
        if not was_running:
            err.print(
                f"[dim]started the embedded warehouse in {plain(settings.home)}; "
                "`ltw warehouse stop` stops it[/]",
                soft_wrap=True,
            )
    return settings


def embedded_settings() -> EmbeddedWarehouse:
    """The settings of the embedded warehouse.

    Raises:
        ConfigurationError: this environment selects Snowflake.
    """
    settings = load_settings(os.environ)
    if not isinstance(settings, EmbeddedWarehouse):
        raise ConfigurationError(
            "this command needs the embedded warehouse, but the SNOWFLAKE_* settings select "
            "Snowflake; unset them to use it"
        )
    return settings


def user_name() -> str:
    """The user who runs this command, for the audit trail."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return "unknown"


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on standard output."""
    print(json.dumps(document, indent=2, default=str))


def show(report: Report, *, as_json: bool) -> None:
    """Print what a command found or did; exits with code 1 if it failed."""
    if as_json:
        print_json(report.document)
    else:
        print_report(report)
        if report.outcome:
            out.print(plain(report.outcome), soft_wrap=True)
    if report.has_failed:
        raise typer.Exit(1)


def print_report(report: Report) -> None:
    """Print its tables and lines as text."""
    for name, rows in report.tables.items():
        if rows and len(report.tables) > 1:
            out.print(f"[bold]{name.replace('_', ' ')}[/]")
        print_table(rows)
    for line in report.lines:
        out.print(plain(line), soft_wrap=True)


def print_table(rows: Sequence[Mapping[str, Any]], console: Console = out) -> None:
    """Print the rows as a table. On a narrow terminal the last column wraps between words; if that
    is not enough, each row becomes a record with one value per line.

    No id is cut or broken, so it can be copied. Output to a file or pipe gets the full width.
    """
    if not rows:
        return
    table = Table(*rows[0], box=None)
    for row in rows:
        table.add_row(*("" if value is None else plain(value) for value in row.values()))
    for column in table.columns:
        column.no_wrap = True
    whole = console.options.update(max_width=WIDEST)
    wanted = console.measure(table, options=whole).maximum
    if not console.is_terminal:
        console = Console(file=console.file, width=wanted)
    last = table.columns[-1]
    last.no_wrap = wanted <= console.width
    if console.measure(table, options=whole).minimum <= console.width:
        console.print(table)
        return
    margin = max(map(len, rows[0]))
    for row in rows:
        for name, value in row.items():
            if value is not None:
                console.print(f"[bold]{name:<{margin}}[/]  {plain(value)}", soft_wrap=True)
        console.print()


def age(span: timedelta) -> str:
    """A duration for people: ``40 s``, ``12 min``, ``3 h 20 min``, ``5 days``."""
    seconds = max(0, span // timedelta(seconds=1))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if hours < 1:
        return f"{minutes} min"
    return f"{days} days" if days > 2 else f"{hours} h {minutes % 60} min"


def plain(value: object) -> str:
    """Text with its brackets escaped, so rich does not read them as markup."""
    return str(value).replace("[", r"\[")
