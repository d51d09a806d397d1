"""``erase``: one learner, out of everything that is ours."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sync.cli.common import Json, RequestedBy, out, print_json, ready_settings, user_name
from sync.errors import ConfigurationError
from sync.settings import journal_directory
from sync.warehouse import open_warehouse

if TYPE_CHECKING:
    from sync.operations.erase import ErasePlan, Erasure


def erase(
    user: Annotated[int, typer.Option(min=1, help="The learner's id in the LMS: auth_user.id.")],
    reason: Annotated[
        str, typer.Option(help="For the audit, such as a ticket; it must name nobody.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count, and show the learner's key; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    requested_by: RequestedBy = None,
    as_json: Json = False,
) -> None:
    """Erase one learner from ledger and models, for ever. For raw tables see docs/erasure.md."""
    from sync.clock import warehouse_clock
    from sync.ledger.erasures import person_key
    from sync.ledger.tables import ensure_ledger
    from sync.operations.erase import erase as carry_out
    from sync.operations.erase import plan_erase

    key = person_key(user)
    with open_warehouse(ready_settings(), purpose="erase") as warehouse:
        ensure_ledger(warehouse)
        clock = warehouse_clock(warehouse)
        plan = plan_erase(warehouse, key, clock=clock)
        if not as_json:
            _print_plan(plan, key)
        made = None
        if not dry_run and _is_agreed(plan, yes=yes, may_ask=not as_json):
            made = carry_out(
                warehouse,
                key,
                requested_by=requested_by or user_name(),
                reason=reason,
                clock=clock,
                journals=journal_directory(os.environ),
            )
    if as_json:
        print_json(_document(plan, made, key, is_dry_run=dry_run))
    elif made is None:
        out.print("nothing was changed")
    else:
        _print_done(made)


def _is_agreed(plan: ErasePlan, *, yes: bool, may_ask: bool) -> bool:
    if yes:
        return True
    if not may_ask or not sys.stdin.isatty():
        raise ConfigurationError(
            f"{plan.found} rows of this learner would be emptied, which cannot be undone: look "
            "with --dry-run, then repeat with --yes"
        )
    return typer.confirm(f"Erase {plan.found} rows of this learner for ever?")


def _print_plan(plan: ErasePlan, key: str) -> None:
    out.print(f"the learner's key: {key}", soft_wrap=True)
    table = Table("where", "rows", box=None)
    table.add_row("webhooks", f"{plan.ledger.webhooks:,}")
    table.add_row("of these yet to be sent", f"{plan.ledger.to_be_sent:,}")
    for name, count in plan.models.items():
        table.add_row(name, f"{count:,}")
    out.print(table)
    if plan.was_erased:
        out.print("this learner was erased before")
    elif not plan.found:
        out.print(
            "nothing of this learner is here: check the id, since an erased one is never recorded"
        )


def _print_done(made: Erasure) -> None:
    if made.erasure_id is None:
        out.print("the learner was erased before, and nothing of them is left here")
        return
    out.print(f"erased: {sum(made.counts.values()):,} rows, as {made.erasure_id}")
    if made.may_still_arrive:
        out.print(
            f"{made.may_still_arrive:,} webhooks were in the hands of a run, which may send them "
            f"until {made.may_still_arrive_until:%Y-%m-%d %H:%M:%S} UTC"
        )
    out.print("raw tables, backups and copies of others: docs/erasure.md")


def _document(
    plan: ErasePlan, made: Erasure | None, key: str, *, is_dry_run: bool
) -> dict[str, object]:
    return {
        "dry_run": is_dry_run,
        "person_key": key,
        "was_erased": plan.was_erased,
        "found": {
            "webhooks": plan.ledger.webhooks,
            "to_be_sent": plan.ledger.to_be_sent,
            **plan.models,
        },
        "erasure_id": made.erasure_id if made else None,
        "erased": dict(made.counts) if made else {},
        "may_still_arrive": made.may_still_arrive if made else plan.ledger.under_way,
        "may_still_arrive_until": made.may_still_arrive_until if made else None,
    }
