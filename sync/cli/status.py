"""``status``, which changes nothing."""

from __future__ import annotations

import os
from datetime import timedelta
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
from sync.domain.states import State, action_for
from sync.warehouse import open_warehouse

if TYPE_CHECKING:
    from sync.operations.status import Status


def status(as_json: Json = False) -> None:
    """Show webhooks by state, what is due or stuck and why, and how far learning time reaches."""
    from sync.delivery.flag import flag_settings
    from sync.operations.status import read_status
    from sync.settings import journal_directory

    policy = flag_settings(os.environ).policy()
    with open_warehouse(ready_settings(), purpose="status") as warehouse:
        found = read_status(
            warehouse,
            journals=journal_directory(os.environ),
            max_wait=policy.max_wait if policy.enabled else timedelta(0),
        )
    if as_json:
        print_json(found.as_dict())
        return
    for pause in found.pauses:
        out.print(f"[bold]PAUSED[/]: {plain(pause['text'])}", soft_wrap=True)
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
    since, until = found.awaiting_since, found.awaiting_until
    if since is not None and until is not None:
        waits = (
            f"waits for learning time until {until:%Y-%m-%d %H:%M} UTC at the latest, for "
            f"{age(until - found.now)} more"
            if until > found.now
            else "is built by the next run"
        )
        out.print(f"{State.AWAITING}: the oldest for {age(found.now - since)}; it {waits}")
    due_at = found.oldest_due_at
    if due_at is None:
        out.print("due: none")
    elif found.due_now:
        out.print(f"due now: {found.due_now:,}, the oldest for {age(found.now - due_at)}")
    else:
        out.print(f"due now: 0, the next in {age(due_at - found.now)}")
    if found.due_when_resumed:
        out.print(f"due when resumed: {found.due_when_resumed:,}")
    if found.replays_waiting:
        out.print(f"replays waiting: {found.replays_waiting:,}")
    for reason, count in found.held_by_reason.items():
        out.print(
            f"{State.HELD}, {reason}: {count:,}. To do: {plain(action_for(reason))}", soft_wrap=True
        )
    for endpoint_id, why in found.endpoints_blocked.items():
        out.print(f"endpoint {endpoint_id} gets nothing now: {plain(why)}", soft_wrap=True)
    for override in found.overrides:
        out.print(plain(override), soft_wrap=True)
    for journal in found.foreign_journals:
        out.print(f"journal left alone: {plain(journal)}")
