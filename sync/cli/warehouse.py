"""``warehouse``: the embedded warehouse on this machine, and a quick query on any."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from sync.cli.common import Json, command_group, embedded_settings, ready_settings, show
from sync.errors import ConfigurationError
from sync.operations.operation import Report
from sync.warehouse import connect_arguments, open_warehouse

warehouse_app = command_group("The embedded warehouse on this machine; sql works on Snowflake too.")


PARAMETERS = ("account", "user", "password", "host", "port", "protocol", "database", "schema")
"""What any Snowflake client needs to connect."""
READING = frozenset({"describe", "explain", "list", "select", "show", "values", "with"})
"""First words of read-only statements: Snowflake allows no ``with`` in front of a change."""
_LEADING = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)*([a-z]*)", re.DOTALL | re.IGNORECASE)


def only_reads(statement: str) -> bool:
    """Whether a statement changes nothing, according to its first word."""
    found = _LEADING.match(statement)
    return found is not None and found[1].lower() in READING


@warehouse_app.command()
def start(as_json: Json = False) -> None:
    """Start the embedded warehouse in the background, unless it is running."""
    from sync.ledger.tables import ensure_ledger
    from sync.local.embedded.lifecycle import ensure_running
    from sync.local.raw_tables import create_raw_tables

    settings = embedded_settings()
    running = ensure_running(settings)
    with open_warehouse(settings, purpose="start") as warehouse:
        ensure_ledger(warehouse)
        create_raw_tables(warehouse)
    document = {"running": True, "port": settings.port, "files": str(running.directory)}
    said = f"embedded warehouse on 127.0.0.1:{settings.port}, files in {running.directory}"
    show(Report(document=document, outcome=said), as_json=as_json)


@warehouse_app.command()
def stop(as_json: Json = False) -> None:
    """Stop the embedded warehouse. Its files stay."""
    from sync.local.embedded.lifecycle import stop as stop_server

    stopped = stop_server(embedded_settings())
    said = "stopped" if stopped else "no embedded warehouse is running for this directory"
    show(Report(document={"running": False, "stopped": stopped}, outcome=said), as_json=as_json)


@warehouse_app.command()
def info(as_json: Json = False) -> None:
    """Print the connection parameters for any Snowflake client."""
    from sync.local.embedded.lifecycle import Running
    from sync.local.embedded.lifecycle import status as server_status

    settings = embedded_settings()
    arguments = connect_arguments(settings, purpose="info")
    found: dict[str, Any] = {
        "running": isinstance(server_status(settings.port), Running),
        **{name: arguments[name] for name in PARAMETERS},
        "files": str(settings.directory),
    }
    lines = [f"{name:>10}  {value}" for name, value in found.items()]
    show(Report(document=found, lines=lines), as_json=as_json)


@warehouse_app.command()
def sql(
    statement: Annotated[str, typer.Argument(help="One statement, such as: select 1")],
    write: Annotated[
        bool, typer.Option("--write", help="Run it even if it may change something.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run one statement on the configured warehouse, embedded or Snowflake, and show its rows."""
    if not (write or only_reads(statement)):
        raise ConfigurationError(
            "this statement may change something; only "
            f"{', '.join(sorted(READING))} run without --write. To run it, repeat with --write"
        )
    with open_warehouse(ready_settings(), purpose="sql") as warehouse:
        rows = warehouse.rows(statement)
    number = {0: "no rows", 1: "1 row"}.get(len(rows), f"{len(rows)} rows")
    show(Report(document={"rows": rows}, tables={"rows": rows}, outcome=number), as_json=as_json)
