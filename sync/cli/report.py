"""``report``: the delivery report as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sync.cli.common import Json, ready_settings, show
from sync.operations.operation import Report
from sync.settings import report_path
from sync.warehouse import open_warehouse


def report(
    to: Annotated[
        Path | None,
        typer.Option(help="File to write. Default: deliveries.html in LTW_REPORTS_DIR."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="Days to cover, including today.")] = 30,
    as_json: Json = False,
) -> None:
    """Write charts of the deliveries, read from the marts, to one self-contained HTML file."""
    from sync.operations.report.costs import NOT_MEASURED, as_document
    from sync.operations.report.figures import read_figures
    from sync.operations.report.look import write_whole
    from sync.operations.report.page import render

    with open_warehouse(ready_settings(), purpose="report") as warehouse:
        figures = read_figures(warehouse, days=days)
    written = write_whole(render(figures), to or report_path(os.environ))
    costs = figures.costs
    document = {
        "path": str(written),
        "days": days,
        "states": figures.states,
        "costs": as_document(costs) if costs else {"not_measured": NOT_MEASURED},
    }
    show(Report(document=document, outcome=f"written: {written}"), as_json=as_json)
