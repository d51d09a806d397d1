"""``formats``: the body formats of webhooks, built in and from files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from sync.cli.common import Json, command_group, out, plain, print_json, ready_settings, show
from sync.delivery.formats import known_formats
from sync.domain.formats import FOLDER_SETTING
from sync.operations.operation import Report

formats_app = command_group("Body formats: list, check, preview, schema, openapi.")


@formats_app.command("list")
def list_all(as_json: Json = False) -> None:
    """List every format that an endpoint can have, and the files that are not usable."""
    from sync.operations.formats import listed

    formats = known_formats(os.environ)
    rows, problems = listed(formats), list(formats.problems.values())
    document = {"formats": rows, "problems": problems}
    show(Report(document=document, tables={"formats": rows}, lines=problems), as_json=as_json)


@formats_app.command()
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help=f"Files. Default: those in {FOLDER_SETTING}.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check format files by building their sample events; one verdict per file."""
    from sync.operations.formats import checked, checked_folder

    folder = os.environ.get(FOLDER_SETTING, "").strip()
    rows = [checked(path) for path in files] if files else checked_folder(folder)
    has_failed = any(row["problem"] for row in rows)
    found = Report(document={"files": rows}, tables={"files": rows}, has_failed=has_failed)
    show(found, as_json=as_json)


@formats_app.command()
def preview(
    name: Annotated[str, typer.Argument(help="A format, or the path of a .yml file.")],
    user: Annotated[
        int | None,
        typer.Option("--user", help="A learner's id in the LMS. Default: a sample event."),
    ] = None,
    course: Annotated[
        str, typer.Option("--course", help="Only events of the course run with this key.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show what a format makes of a sample event or a learner's events. Sends and writes nothing.

    ``--user`` shows personal data.
    """
    from sync.operations.formats import chosen, sample_bodies

    name, formats = chosen(name, known_formats(os.environ))
    if user is None:
        events: list[dict[str, Any]] = sample_bodies(name, formats)
    else:
        from sync.clock import warehouse_clock
        from sync.ledger.tables import ensure_ledger
        from sync.operations.formats import bodies_of_learner
        from sync.warehouse import open_warehouse

        with open_warehouse(ready_settings(), purpose="formats") as warehouse:
            ensure_ledger(warehouse)
            events = bodies_of_learner(
                warehouse,
                formats.known[name],
                user_id=user,
                courserun_key=course,
                clock=warehouse_clock(warehouse),
            )
    if as_json:
        print_json({"format": name, "events": events})
    else:
        for event in events:
            said = ", ".join(
                f"{key}: {value}" for key, value in event.items() if key != "body" and value
            )
            out.print(f"[bold]{plain(said)}[/]", soft_wrap=True)
            if event["body"] is not None:
                out.print(plain(json.dumps(event["body"], indent=2, ensure_ascii=False)))
        if not events:
            out.print("this learner has no event that the format has a body for", soft_wrap=True)
    if not events or any(event.get("problem") for event in events):
        raise typer.Exit(1)


@formats_app.command()
def schema() -> None:
    """Print the JSON Schema of a format file, for completion and validation in editors."""
    from sync.operations.formats import schema_for_editors

    print_json(schema_for_editors())


@formats_app.command()
def openapi() -> None:
    """Print the OpenAPI document for customers: every format, your addresses and your contact."""
    from sync.operations.openapi import document
    from sync.operations.sender import sender

    print_json(document(known_formats(os.environ).known, sender(os.environ)))
