"""``reroute``: messages of a deleted endpoint go to the customer's new one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sync.cli.common import Json, RequestedBy, out, print_json, ready_settings, user_name
from sync.errors import ConfigurationError
from sync.operations.confirmation import ASK_ABOVE
from sync.warehouse import open_warehouse

if TYPE_CHECKING:
    from sync.operations.reroute import Reroute, ReroutePlan


def reroute(
    endpoint: Annotated[
        int | None, typer.Option(help="Only messages of this deleted endpoint.")
    ] = None,
    enterprise: Annotated[str | None, typer.Option(help="Only this customer's; its UUID.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would move; change nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help=f"Do not ask before more than {ASK_ABOVE} webhooks.")
    ] = False,
    requested_by: RequestedBy = None,
    as_json: Json = False,
) -> None:
    """Move messages that were tried at a deleted endpoint to the customer's new one: same bytes."""
    from sync.clock import warehouse_clock
    from sync.ledger.tables import ensure_ledger
    from sync.operations.reroute import Choice, plan_reroute
    from sync.operations.reroute import reroute as move

    choice = Choice(endpoint_id=endpoint, enterprise=enterprise)
    with open_warehouse(ready_settings(), purpose="reroute") as warehouse:
        ensure_ledger(warehouse)
        plan = plan_reroute(warehouse, choice)
        if not as_json:
            _print_plan(plan)
        made = None
        if plan.matched and not dry_run and _is_agreed(plan, yes=yes, may_ask=not as_json):
            made = move(
                warehouse,
                choice,
                requested_by=requested_by or user_name(),
                clock=warehouse_clock(warehouse),
                at_most=plan.matched,
            )
    if as_json:
        print_json(_document(plan, made, is_dry_run=dry_run))
    elif made is not None and made.reroute_id is not None:
        out.print(f"{made.matched:,} webhooks go with the next delivery run, as {made.reroute_id}")
    else:
        out.print("nothing was changed")


def _is_agreed(plan: ReroutePlan, *, yes: bool, may_ask: bool) -> bool:
    if yes or plan.matched <= ASK_ABOVE:
        return True
    if not may_ask or not sys.stdin.isatty():
        raise ConfigurationError(
            f"{plan.matched} webhooks match, more than {ASK_ABOVE}: look with --dry-run, then "
            "repeat with --yes"
        )
    return typer.confirm(f"Move {plan.matched} webhooks?")


def _print_plan(plan: ReroutePlan) -> None:
    out.print(f"{plan.matched:,} webhooks that were tried would move")
    if plan.moves:
        table = Table("deleted endpoint", "new endpoint", "webhooks", box=None)
        for (old, new), count in plan.moves.items():
            table.add_row(str(old), str(new), f"{count:,}")
        out.print(table)
    for stay, count in plan.stays.items():
        out.print(f"{count:,} not moved ({stay}): {stay.text}")


def _document(plan: ReroutePlan, made: Reroute | None, *, is_dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": is_dry_run,
        "matched": plan.matched,
        "moves": [
            {"from": old, "to": new, "webhooks": count} for (old, new), count in plan.moves.items()
        ],
        "not_moved": dict(plan.stays),
        "reroute_id": made.reroute_id if made else None,
        "moved": made.matched if made else 0,
    }
