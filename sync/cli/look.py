"""``status`` and ``preview``: they change nothing."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sync.cli.common import (
    Json,
    out,
    plain,
    print_json,
    print_table,
    ready_settings,
)
from sync.domain.states import action_for
from sync.warehouse import open_warehouse

if TYPE_CHECKING:
    from sync.delivery.flag import FlagSettings
    from sync.operations.preview import Preview
    from sync.operations.status import Status


def status(as_json: Json = False) -> None:
    """Webhooks by state, what is due, what is stuck and why, and how far learning time reaches."""
    from sync.operations.status import read_status
    from sync.settings import journal_directory

    with open_warehouse(ready_settings(), purpose="status") as warehouse:
        found = read_status(warehouse, journals=journal_directory(os.environ))
    if as_json:
        print_json(found.as_dict())
        return
    table = Table("state", "webhooks", box=None)
    for state, count in found.states.items():
        table.add_row(state, f"{count:,}")
    out.print(table)
    out.print(f"oldest due: {found.oldest_due_at or 'none'}")
    _print_work(found)
    out.print(f"learning time computed through: {found.computed_through or 'never built'}")


def _print_work(found: Status) -> None:
    age = found.oldest_due_age_seconds
    out.print(f"due now: {found.due_now:,}" + ("" if age is None else f", oldest for {age:,} s"))
    if found.replays_waiting:
        out.print(f"replays waiting: {found.replays_waiting:,}")
    for reason, count in found.held_by_reason.items():
        out.print(f"held, {reason}: {count:,}. To do: {plain(action_for(reason))}")
    for endpoint_id, why in found.endpoints_blocked.items():
        out.print(f"endpoint {endpoint_id} gets nothing now: {plain(why)}")
    for journal in found.foreign_journals:
        out.print(f"journal left alone: {plain(journal)}")


def preview(
    enrich: Annotated[
        bool | None,
        typer.Option(
            "--enrich/--no-enrich",
            help="Decide with the feature flag on, or off; as the environment says if unset.",
        ),
    ] = None,
    rollout_percentage: Annotated[
        int | None, typer.Option(min=0, max=100, help="The share that is enriched.")
    ] = None,
    enterprises: Annotated[
        list[str] | None,
        typer.Option("--enterprise", help="Enrich this customer only; can be repeated."),
    ] = None,
    max_wait_minutes: Annotated[
        int | None,
        typer.Option(min=0, max=1440, help="How long a completion may wait for the mart."),
    ] = None,
    activated_at: Annotated[
        str | None,
        typer.Option(
            envvar="WEBHOOKS_ACTIVATED_AT",
            help="Before the first run only: completions before this time would not be sent.",
        ),
    ] = None,
    mass_send_limit: Annotated[
        int, typer.Option(min=1, help="More new completions than this are not recorded.")
    ] = 5_000,
    enrollments: Annotated[
        bool, typer.Option("--enrollments", help="Detect new enrollments too.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="Webhooks to list; all are counted.")] = 20,
    bodies: Annotated[
        bool, typer.Option("--bodies", help="Show the bodies too. They are personal data.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What would be sent now: where, with which learning time, or why not. Writes nothing."""
    from sync.clock import warehouse_clock
    from sync.delivery.destinations import open_destination
    from sync.delivery.flag import flag_settings
    from sync.domain.event_types import COMPLETIONS, ENROLLMENTS
    from sync.domain.rollout import enterprise_uuids
    from sync.operations.environment import as_activation
    from sync.operations.preview import preview as decide

    settings = ready_settings()
    since = as_activation(activated_at, setting="--activated-at") if activated_at else None
    flag = flag_settings(os.environ)
    flag = replace(
        flag,
        enabled=flag.enabled if enrich is None else enrich,
        rollout_percentage=(
            flag.rollout_percentage if rollout_percentage is None else rollout_percentage
        ),
        enterprise_allowlist=(
            enterprise_uuids(enterprises, setting="--enterprise")
            if enterprises
            else flag.enterprise_allowlist
        ),
        max_wait_minutes=flag.max_wait_minutes if max_wait_minutes is None else max_wait_minutes,
    )
    with (
        open_warehouse(settings, purpose="preview") as warehouse,
        open_destination(os.environ, settings) as tools,
    ):
        found = decide(
            warehouse,
            policy=flag.policy(),
            clock=warehouse_clock(warehouse),
            readiness_of=tools.readiness,
            sources=(COMPLETIONS, ENROLLMENTS) if enrollments else (COMPLETIONS,),
            activated_at=since,
            mass_send_limit=mass_send_limit,
        )
    if as_json:
        print_json(found.as_dict(limit=limit, with_bodies=bodies))
        return
    _print_preview(found, limit=limit, with_bodies=bodies, flag=flag)


def _print_preview(found: Preview, *, limit: int, with_bodies: bool, flag: FlagSettings) -> None:
    out.print(f"feature flag: {flag.describe()}")
    table = Table("verdict", "why", "webhooks", box=None)
    for (verdict, why), count in sorted(found.counts().items()):
        table.add_row(verdict, why, f"{count:,}")
    out.print(table)
    if found.before_activation:
        out.print(f"from before the activation, never to be sent: {found.before_activation:,}")
    if not found.is_activated:
        out.print("not activated yet: the next run decides for good which completions are old")
    if found.guard is not None:
        out.print(found.guard)
    for problem, count in sorted(found.problems.items()):
        out.print(f"{count:,} × {plain(problem)}")
    shown = found.lines[:limit]
    print_table([one.as_row() for one in shown])
    if shown and len(found.lines) > len(shown):
        out.print(f"{len(found.lines) - len(shown):,} more; --limit shows them")
    if with_bodies:
        for one in shown:
            if one.body is not None:
                out.print(plain(f"{one.webhook_id}  {json.dumps(json.loads(one.body))}"))
