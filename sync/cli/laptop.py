"""``load-logs``, ``demo`` and ``dev``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sync.cli.common import Json, err, out, print_json, ready_settings
from sync.warehouse import open_warehouse


def load_logs(
    files: Annotated[list[Path], typer.Argument(help="Tracking-log files, plain or .gz.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also load files that do not look like tracking logs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Load Open edX tracking-log files, in the given order. Files already loaded are skipped."""
    from sync.local.load_progress import load_with_progress, summary

    settings = ready_settings()
    with open_warehouse(settings, purpose="load-logs") as warehouse:
        outcomes = load_with_progress(
            warehouse, files, console=err, is_quiet=as_json, is_any_text_taken=force
        )
    if as_json:
        print_json({"files": [summary(outcome) for outcome in outcomes]})


def demo(
    as_json: Json = False,
    keep: Annotated[
        Path | None, typer.Option(help="Keep everything the demo creates in this directory.")
    ] = None,
) -> None:
    """Run sample data through to delivered webhooks, with the flag off and then on.

    Leaves nothing running.
    """
    from sync.local.demo import run_demo

    run_demo(console=err if as_json else out, keep=keep, as_json=as_json)


def dev() -> None:
    """Start embedded warehouse, receiver page and Dagster UI together; Ctrl-C stops all three."""
    from sync.local.dev import run_dev

    sys.exit(run_dev(out))
