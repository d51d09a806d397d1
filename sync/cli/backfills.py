"""``backfill``: completions from before the activation, sent after all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sync.cli.common import (
    Json,
    RequestedBy,
    moment,
    out,
    print_json,
    print_sample,
    ready_settings,
    user_name,
)
from sync.errors import ConfigurationError
from sync.warehouse import open_warehouse

if TYPE_CHECKING:
    from sync.operations.backfill import Backfill, BackfillPlan

CONFIRM = "--confirm-count"


def backfill(
    since: Annotated[str, typer.Option(help="Passed not before this moment, ISO 8601.")],
    until: Annotated[str, typer.Option(help="Passed before this moment, ISO 8601.")],
    enterprise: Annotated[str | None, typer.Option(help="Only this customer; its UUID.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The oldest so many.")] = 1_000,
    confirm_count: Annotated[
        int | None,
        typer.Option(
            CONFIRM, min=0, help="The number that was shown; without it, nothing is changed."
        ),
    ] = None,
    requested_by: RequestedBy = None,
    as_json: Json = False,
) -> None:
    """Send completions from before the activation. Shows them first; the number makes it real."""
    from sync.clock import warehouse_clock
    from sync.ledger.tables import ensure_ledger
    from sync.operations.backfill import Backfill, Window, plan_backfill
    from sync.operations.backfill import backfill as release

    first, last = moment("--since", since), moment("--until", until)
    if first is None or last is None:
        raise ConfigurationError("--since and --until must both name a moment")
    window = Window(since=first, until=last, enterprise=enterprise, limit=limit)
    with open_warehouse(ready_settings(), purpose="backfill") as warehouse:
        ensure_ledger(warehouse)
        plan = plan_backfill(warehouse, window)
        if not as_json:
            _print_plan(plan)
        made = Backfill(None, 0)
        if confirm_count is not None:
            made = release(
                warehouse,
                window,
                requested_by=requested_by or user_name(),
                confirmed=confirm_count,
                setting=CONFIRM,
                clock=warehouse_clock(warehouse),
            )
    if as_json:
        print_json(_document(plan, made, is_dry_run=confirm_count is None))
    elif made.backfill_id is not None:
        out.print(f"{made.matched:,} completions go with the next run, as {made.backfill_id}")
    else:
        out.print("nothing was changed")
        if plan.matched:
            out.print(f"to send them: the same command with {CONFIRM} {plan.matched}")


def _print_plan(plan: BackfillPlan) -> None:
    out.print(f"{plan.matched:,} completions from before the activation match")
    if plan.first_at and plan.last_at:
        out.print(
            f"passed from {plan.first_at:%Y-%m-%d %H:%M} to {plan.last_at:%Y-%m-%d %H:%M} UTC"
        )
    if plan.beyond_limit:
        out.print(f"{plan.beyond_limit:,} more are beyond --limit")
    if plan.gone:
        out.print(f"{plan.gone:,} are no longer in the marts (consent or link gone): not sent")
    if plan.by_enterprise:
        table = Table("customer", "completions", box=None)
        for enterprise, count in plan.by_enterprise.items():
            table.add_row(enterprise, f"{count:,}")
        out.print(table)
    if plan.sample:
        print_sample(
            ("webhook id", "passed", "course run"),
            (
                (row["webhook_id"], f"{row['occurred_at']:%Y-%m-%d %H:%M:%S}", row["courserun_key"])
                for row in plan.sample
            ),
        )


def _document(plan: BackfillPlan, made: Backfill, *, is_dry_run: bool) -> dict[str, object]:
    return vars(plan) | {
        "sample": list(plan.sample),
        "dry_run": is_dry_run,
        "backfill_id": made.backfill_id,
        "released": made.matched,
    }
