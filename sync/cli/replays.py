"""``replay`` and ``retention``: what happens to webhooks after the fact."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

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
from sync.operations.confirmation import ASK_ABOVE
from sync.operations.replay import Plan
from sync.operations.replay_selection import ReplayState, Selection, Window
from sync.warehouse import Warehouse, open_warehouse

if TYPE_CHECKING:
    from sync.operations.replay import Replay


def replay(
    webhook_ids: Annotated[
        list[str] | None, typer.Argument(help="Webhook ids; none selects by the options alone.")
    ] = None,
    endpoint: Annotated[int | None, typer.Option(help="Only webhooks of this endpoint.")] = None,
    enterprise: Annotated[str | None, typer.Option(help="Only webhooks of this customer.")] = None,
    state: Annotated[ReplayState | None, typer.Option(help="Only webhooks in this state.")] = None,
    reason: Annotated[
        str | None, typer.Option(help="Only with this state_reason, such as attempts_exhausted.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Not before this moment, ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this moment, ISO 8601.")] = None,
    by: Annotated[
        Window, typer.Option(help="The moment that --since and --until look at.")
    ] = Window.RECORDED,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the number and a sample; change nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help=f"Do not ask before more than {ASK_ABOVE} webhooks.")
    ] = False,
    requested_by: RequestedBy = None,
    as_json: Json = False,
) -> None:
    """Send webhooks again: same id, same body. The next delivery run sends them."""
    from sync.clock import warehouse_clock
    from sync.ledger.tables import ensure_ledger
    from sync.operations.replay import plan_replay
    from sync.operations.replay import replay as request

    selection = Selection(
        webhook_ids=tuple(webhook_ids or ()),
        endpoint_id=endpoint,
        enterprise=enterprise,
        state=state,
        reason=reason,
        since=moment("--since", since),
        until=moment("--until", until),
        window=by,
    )
    with open_warehouse(ready_settings(), purpose="replay") as warehouse:
        ensure_ledger(warehouse)
        plan = plan_replay(warehouse, selection)
        if not as_json:
            _print_plan(plan)
        made = None
        if plan.matched and not dry_run and _is_agreed(plan, yes=yes, may_ask=not as_json):
            made = request(
                warehouse,
                selection,
                requested_by=requested_by or user_name(),
                clock=warehouse_clock(warehouse),
                at_most=plan.matched,
            )
        waiting = _waiting(warehouse)
    if as_json:
        print_json(_document(plan, made, waiting=waiting, is_dry_run=dry_run))
    elif made is not None and made.replay_id is not None:
        out.print(f"{made.matched:,} webhooks go with the next delivery run, as {made.replay_id}")
    else:
        out.print("nothing was changed")
    if not plan.matched and (plan.refused or plan.unknown_ids):
        raise typer.Exit(1)


def retention(
    days: Annotated[int, typer.Option(min=1, help="Age in days, from the last change.")] = 90,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Empty bodies and excerpts of finished webhooks; keep ids, states and numbers."""
    from sync.clock import warehouse_clock
    from sync.ledger.retention import apply_retention
    from sync.ledger.tables import ensure_ledger

    with open_warehouse(ready_settings(), purpose="retention") as warehouse:
        ensure_ledger(warehouse)
        report = apply_retention(
            warehouse, clock=warehouse_clock(warehouse), days=days, dry_run=dry_run
        )
    if as_json:
        print_json(vars(report) | {"dry_run": dry_run})
        return
    verb = "would be emptied" if dry_run else "emptied"
    out.print(f"untouched since {report.cutoff:%Y-%m-%d %H:%M} UTC")
    out.print(f"bodies {verb}: {report.bodies:,}")
    out.print(f"excerpts of answers {verb}: {report.excerpts:,}")


def _is_agreed(plan: Plan, *, yes: bool, may_ask: bool) -> bool:
    if yes or plan.matched <= ASK_ABOVE:
        return True
    if not may_ask or not sys.stdin.isatty():
        raise ConfigurationError(
            f"{plan.matched} webhooks match, more than {ASK_ABOVE}: look with --dry-run, then "
            "repeat with --yes"
        )
    return typer.confirm(f"Send {plan.matched} webhooks again?")


def _print_plan(plan: Plan) -> None:
    out.print(f"{plan.matched:,} webhooks match")
    table = Table("endpoint", "webhooks", box=None)
    for endpoint_id, count in plan.by_endpoint.items():
        table.add_row("none yet" if endpoint_id is None else str(endpoint_id), f"{count:,}")
    if plan.by_endpoint:
        out.print(table)
    if plan.sample:
        names = ("webhook id", "state", "reason", "endpoint", "recorded or delivered")
        print_sample(names, (_cells(row) for row in plan.sample))
    if plan.matched > len(plan.sample):
        out.print(f"and {plan.matched - len(plan.sample):,} more")
    for refusal, count in plan.refused.items():
        out.print(f"{count:,} not replayed ({refusal}): {refusal.text}")
    if plan.unknown_ids:
        out.print(f"{plan.unknown_ids:,} ids are not in the outbox")


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    endpoint_id, at = row["endpoint_id"], row["delivered_at"] or row["recorded_at"]
    return (
        row["webhook_id"],
        row["state"],
        row["state_reason"] or "",
        "" if endpoint_id is None else str(endpoint_id),
        f"{at:%Y-%m-%d %H:%M:%S}",
    )


def _document(
    plan: Plan, made: Replay | None, *, waiting: int, is_dry_run: bool
) -> dict[str, object]:
    return {
        "dry_run": is_dry_run,
        "matched": plan.matched,
        "by_endpoint": {str(key): count for key, count in plan.by_endpoint.items()},
        "refused": dict(plan.refused),
        "unknown_ids": plan.unknown_ids,
        "sample": list(plan.sample),
        "replay_id": made.replay_id if made else None,
        "waiting": waiting,
    }


def _waiting(warehouse: Warehouse) -> int:
    from sync.operations.status import replays_waiting

    return replays_waiting(warehouse)
