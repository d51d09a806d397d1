"""``status``: it changes nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.table import Table

from sync.cli.common import (
    Json,
    age,
    out,
    plain,
    print_json,
    ready_settings,
)
from sync.domain.states import action_for
from sync.warehouse import open_warehouse

if TYPE_CHECKING:
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
    _print_work(found)
    through = found.computed_through
    out.print(
        "learning time: never built; run learning_time_job"
        if through is None
        else f"learning time: computed through {through:%Y-%m-%d %H:%M} UTC, "
        f"{age(found.now - through)} ago"
    )


def _print_work(found: Status) -> None:
    due_at = found.oldest_due_at
    if due_at is None:
        out.print("due: none")
    elif found.due_now:
        out.print(f"due now: {found.due_now:,}, the oldest for {age(found.now - due_at)}")
    else:
        out.print(f"due now: 0, the next in {age(due_at - found.now)}")
    if found.replays_waiting:
        out.print(f"replays waiting: {found.replays_waiting:,}")
    for reason, count in found.held_by_reason.items():
        out.print(f"held, {reason}: {count:,}. To do: {plain(action_for(reason))}")
    for endpoint_id, why in found.endpoints_blocked.items():
        out.print(f"endpoint {endpoint_id} gets nothing now: {plain(why)}")
    for journal in found.foreign_journals:
        out.print(f"journal left alone: {plain(journal)}")
