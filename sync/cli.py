"""The command line ``learning-time-webhooks`` (``ltw`` for short).

Every command takes ``--json`` for machines. Exit code 0, 1 when something failed, 2 for bad usage
or configuration; every error names the setting or the file, and the mend.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sync.errors import ConfigurationError, SyncError
from sync.settings import WarehouseSettings, load_settings
from sync.warehouse import open_warehouse

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Course-completion webhooks with learning time: load, look, run on a laptop.",
)
warehouse_app = typer.Typer(no_args_is_help=True, help="The embedded warehouse of this machine.")
app.add_typer(warehouse_app, name="warehouse")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def main() -> None:
    """Run a command; turn the errors of this package into a line and an exit code."""
    try:
        app()
    except ConfigurationError as error:
        err.print(f"[bold red]error:[/] {_plain(error)}")
        sys.exit(2)
    except SyncError as error:
        err.print(f"[bold red]error:[/] {_plain(error)}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command("load-logs")
def load_logs(
    files: Annotated[list[Path], typer.Argument(help="Tracking-log files, plain or .gz.")],
    as_json: Json = False,
) -> None:
    """Load Open edX tracking-log files, in the given order. A file loaded before is skipped."""
    from sync.local.load_progress import load_with_progress, summary

    settings = ready_settings()
    with open_warehouse(settings, purpose="load-logs") as warehouse:
        outcomes = load_with_progress(warehouse, files, console=err, is_quiet=as_json)
    if as_json:
        _print_json({"files": [summary(outcome) for outcome in outcomes]})


@app.command()
def status(as_json: Json = False) -> None:
    """Webhooks by state, and how far learning time reaches."""
    from sync.status import read_status

    with open_warehouse(ready_settings(), purpose="status") as warehouse:
        found = read_status(warehouse)
    if as_json:
        _print_json(found.as_dict())
        return
    table = Table("state", "webhooks", box=None)
    for state, count in found.states.items():
        table.add_row(state, f"{count:,}")
    out.print(table)
    out.print(f"oldest due: {found.oldest_due_at or 'none'}")
    out.print(f"learning time computed through: {found.computed_through or 'never built'}")


@app.command()
def demo(
    as_json: Json = False,
    keep: Annotated[
        Path | None, typer.Option(help="Keep everything the demo made in this directory.")
    ] = None,
) -> None:
    """Sample data to delivered webhooks, with the flag off and then on. Leaves nothing running."""
    from sync.local.demo import run_demo

    run_demo(console=err if as_json else out, keep=keep, as_json=as_json)


@app.command()
def dev() -> None:
    """Embedded warehouse, receiver page and Dagster UI together; Ctrl-C stops all three."""
    from sync.local.dev import run_dev

    sys.exit(run_dev(out))


@warehouse_app.command()
def start() -> None:
    """Start the embedded warehouse in the background, or find it running."""
    from sync.ledger import ensure_ledger
    from sync.local.embedded.lifecycle import ensure_running
    from sync.raw import create_raw_tables

    settings = _embedded_settings()
    running = ensure_running(settings)
    with open_warehouse(settings, purpose="start") as warehouse:
        ensure_ledger(warehouse)
        create_raw_tables(warehouse)
    out.print(f"embedded warehouse on 127.0.0.1:{settings.port}, files in {running.directory}")


@warehouse_app.command()
def stop() -> None:
    """Stop the embedded warehouse. Its files stay."""
    from sync.local.embedded.lifecycle import stop as stop_server

    stopped = stop_server(_embedded_settings())
    out.print("stopped" if stopped else "no embedded warehouse of this directory is running")


@warehouse_app.command()
def info(as_json: Json = False) -> None:
    """Connection parameters for any Snowflake client."""
    from sync.local.embedded.lifecycle import Running
    from sync.local.embedded.lifecycle import status as server_status

    settings = _embedded_settings()
    found: dict[str, Any] = {
        "running": isinstance(server_status(settings.port), Running),
        "account": "embedded",
        "user": "embedded",
        "password": "embedded",
        "host": "127.0.0.1",
        "port": settings.port,
        "protocol": "http",
        "database": settings.database,
        "schema": settings.schema,
        "files": str(settings.directory),
    }
    if as_json:
        _print_json(found)
        return
    for name, value in found.items():
        out.print(f"{name:>10}  {value}")


@warehouse_app.command()
def sql(
    statement: Annotated[str, typer.Argument(help="One statement, such as: select 1")],
    as_json: Json = False,
) -> None:
    """Run one statement and show its rows."""
    with open_warehouse(ready_settings(), purpose="sql") as warehouse:
        rows = warehouse.rows(statement)
    if as_json:
        _print_json({"rows": rows})
        return
    _print_rows(rows)


def ready_settings() -> WarehouseSettings:
    """The settings of this environment, with the embedded warehouse up when it is the one."""
    from sync.settings import EmbeddedWarehouse

    settings = load_settings(os.environ)
    if isinstance(settings, EmbeddedWarehouse):
        from sync.local.embedded.lifecycle import ensure_running

        ensure_running(settings)
    return settings


def _embedded_settings() -> Any:
    from sync.settings import EmbeddedWarehouse

    settings = load_settings(os.environ)
    if not isinstance(settings, EmbeddedWarehouse):
        raise ConfigurationError(
            "this command is about the embedded warehouse, but SNOWFLAKE_* settings select "
            "Snowflake; unset them to use it"
        )
    return settings


def _print_rows(rows: list[dict[str, Any]]) -> None:
    if not rows:
        out.print("no rows")
        return
    table = Table(*rows[0], box=None)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    out.print(table)
    out.print(f"{len(rows)} rows")


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2, default=str))


def _plain(error: Exception) -> str:
    """The text of an error, with brackets that rich would read as markup kept as they are."""
    return str(error).replace("[", r"\[")
