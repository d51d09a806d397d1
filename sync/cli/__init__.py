"""The command line ``learning-time-webhooks`` (``ltw`` for short).

Commands take ``--json`` for machines. Exit code 0, 1 when something failed, 2 for bad usage or
configuration; every error names the setting or the file, and the mend. No command shows personal
data unless it is asked to with ``--bodies``.
"""

from __future__ import annotations

import os
import sys

import typer

from sync import logs
from sync.cli import (
    backfills,
    endpoint_settings,
    endpoints,
    erasures,
    laptop,
    look,
    replays,
    report,
    reroutes,
)
from sync.cli.common import err, plain
from sync.cli.warehouse import warehouse_app
from sync.errors import ConfigurationError, SyncError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Course-completion webhooks with learning time: load, look, send again, run on a laptop.",
)
app.command("load-logs")(laptop.load_logs)
app.command()(look.status)
app.command()(look.preview)
app.command()(report.report)
app.command()(replays.replay)
app.command()(backfills.backfill)
app.command()(reroutes.reroute)
app.command("test-send")(endpoints.send_test)
app.command()(replays.retention)
app.command()(erasures.erase)
app.command()(laptop.demo)
app.command()(laptop.dev)
endpoints.endpoints_app.command("set")(endpoint_settings.change)
app.add_typer(endpoints.endpoints_app, name="endpoints")
app.add_typer(warehouse_app, name="warehouse")


def main() -> None:
    """Run a command; turn the errors of this package into a line and an exit code."""
    try:
        logs.configure(os.environ, stream=sys.stderr)
        with logs.command_logged(sys.argv[1:]):
            app()
    except ConfigurationError as error:
        err.print(f"[bold red]error:[/] {plain(error)}", soft_wrap=True)
        sys.exit(2)
    except SyncError as error:
        err.print(f"[bold red]error:[/] {plain(error)}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
