"""The command line ``learning-time-webhooks`` (``ltw`` for short).

Commands take ``--json`` for machines. Exit code 0, 1 when something failed, 2 for bad usage or
configuration; every error names the setting or the file, and the fix. No command shows personal
data unless it is asked to with ``--bodies``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Annotated

import typer

from sync import logs
from sync.cli import endpoints, formats, laptop, report, status
from sync.cli.common import command_group, err, plain
from sync.cli.operations import add_operations
from sync.cli.warehouse import warehouse_app
from sync.errors import ConfigurationError, SyncError
from sync.local.dev_settings import adopt
from sync.operations.catalog import OPERATIONS

BRING_THEIR_OWN = frozenset({"dev", "demo"})
"""Commands that set everything themselves."""


def _version(is_asked: bool) -> None:
    if is_asked:
        print(metadata.version("learning-time-webhooks"))
        raise typer.Exit


app = command_group(
    "Course-completion webhooks with learning time: preview, send, send again, operate.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_version, help="Print the version."),
    ] = False,
) -> None:
    """Course-completion webhooks with learning time: preview, send, send again, operate."""


app.command("load-logs")(laptop.load_logs)
app.command()(status.status)
app.command()(report.report)
add_operations(app, {"endpoints": endpoints.endpoints_app}, OPERATIONS)
app.command()(laptop.demo)
app.command()(laptop.dev)
app.add_typer(endpoints.endpoints_app, name="endpoints")
app.add_typer(formats.formats_app, name="formats")
app.add_typer(warehouse_app, name="warehouse")


def _say(adopted: Mapping[str, str]) -> None:
    if adopted:
        err.print(f"[dim]taken from the running make dev: {', '.join(adopted)}[/]", soft_wrap=True)


def main() -> None:
    """Run a command; turn the errors of this package into a line and an exit code."""
    try:
        if not BRING_THEIR_OWN & set(sys.argv[1:2]):
            _say(adopt(os.environ))
        logs.configure(os.environ, stream=sys.stderr)
        with logs.command_logged(sys.argv[1:]):
            app()
    except SyncError as error:
        err.print(f"[bold red]error:[/] {plain(error)}", soft_wrap=True)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
