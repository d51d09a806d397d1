"""The command line ``learning-time-webhooks`` (``ltw`` for short).

Commands take ``--json`` for scripts. Exit codes: 0 for success, 1 for a failure, 2 for bad usage or
configuration. Every error names the setting or the file, and the fix. Personal data is shown only
on request: ``--bodies``, ``--personal``, ``formats preview --user`` and ``warehouse sql``.
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
"""Commands that configure their own environment."""


def _version(is_asked: bool) -> None:
    if is_asked:
        print(metadata.version("learning-time-webhooks"))
        raise typer.Exit


app = command_group(
    "Course-completion webhooks with learning time: preview, send, replay, operate.",
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
    """Course-completion webhooks with learning time: preview, send, replay, operate."""


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
    """Run a command; turn this package's errors into one line and an exit code."""
    try:
        if not BRING_THEIR_OWN & set(sys.argv[1:2]):
            _say(adopt(os.environ))
        logs.configure(os.environ, stream=sys.stderr)
        with logs.command_logged(sys.argv[1:]):
            app()
    except SyncError as error:
        err.print(f"[bold red]error:[/] {plain(error)}", soft_wrap=True)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
