"""The demo's report: who completed, what was sent where, the bodies, the outcomes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.json import JSON
from rich.panel import Panel
from rich.table import Table

from sync.domain.states import State
from sync.ledger.messages import OF_ROW
from sync.ledger.tables import MESSAGES, OUTBOX
from sync.local.job_runner import JobRun
from sync.warehouse import Warehouse

SHOWN_ROWS = 8
BAR = 20
"""Characters of the longest bar."""
WIDE = 120
"""Terminal width at which all columns fit."""
STYLES: dict[str, str] = {
    State.DELIVERED: "green",
    State.PENDING: "yellow",
    State.HELD: "yellow",
    State.DEAD: "red",
    State.SUPPRESSED: "dim",
    State.AWAITING: "cyan",
}


@dataclass(frozen=True)
class Round:
    """One round of the demo, from the ledger."""

    is_enriching: bool
    lines: int
    """Tracking-log lines in the warehouse so far."""
    run_id: str
    rows: Sequence[dict[str, Any]]
    """Outbox rows that this round recorded, with where they went."""

    @property
    def bodies(self) -> dict[str, dict[str, Any]]:
        """One body of each format."""
        kinds: dict[str, dict[str, Any]] = {}
        for row in self.rows:
            if row["body"] is not None:
                kind = row["payload_format"]
                if row["learning_time_seconds"] is not None:
                    kind += " with learning time"
                kinds.setdefault(kind, json.loads(row["body"]))
        return kinds

    @property
    def counts(self) -> dict[str, int]:
        """Webhooks by state and reason."""
        return _count(
            f"{row['state']}{': ' + row['state_reason'] if row['state_reason'] else ''}"
            for row in self.rows
        )

    def as_dict(self) -> dict[str, Any]:
        """Counts and bodies, for JSON."""
        return {
            "learning_time_enrichment": "on" if self.is_enriching else "off",
            "tracking_log_lines": self.lines,
            "run_id": self.run_id,
            "detected": len(self.rows),
            "outcomes": self.counts,
            "enrichment": _count(
                row["enrichment_outcome"] for row in self.rows if row["enrichment_outcome"]
            ),
            "bodies": self.bodies,
        }


def read_round(session: Warehouse, run: JobRun, *, flag: bool, lines: int) -> Round:
    """Read what a run recorded and the outcomes."""
    rows = session.rows(
        f"""
        select
            outbox.webhook_id,
            outbox.user_id,
            outbox.courserun_key,
            outbox.occurred_at,
            outbox.state,
            outbox.state_reason,
            outbox.region,
            outbox.payload_format,
            messages.enrichment_outcome,
            messages.learning_time_seconds,
            messages.body,
            endpoints.url
        from {session.relation("sync", OUTBOX)} as outbox
        left join {session.relation("sync", MESSAGES)} as messages
            on {OF_ROW.format(row="outbox")}
        left join {session.relation("marts", "webhook_endpoints")} as endpoints
            on outbox.endpoint_id = endpoints.endpoint_id
        where outbox.recorded_run_id = ?
        order by outbox.occurred_at, outbox.webhook_id
        """,
        run.run_id,
    )
    return Round(is_enriching=flag, lines=lines, run_id=run.run_id, rows=rows)


def print_report(
    console: Console, rounds: Sequence[Round], *, seconds: float, kept: Path | None
) -> None:
    """Print the report; one column fewer on a narrow terminal."""
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDE)
    for one in rounds:
        word = "on" if one.is_enriching else "off"
        console.rule(f"learning-time enrichment {word}")
        console.print(_sent_table(one, is_wide=console.width >= WIDE))
        if len(one.rows) > SHOWN_ROWS:
            console.print(f"[dim]and {len(one.rows) - SHOWN_ROWS} more[/]")
        console.print(_outcome_table(one))
        for kind, body in one.bodies.items():
            if one.is_enriching == ("with learning time" in kind):
                console.print(
                    Panel(JSON(json.dumps(body)), title=f"one body: {kind}", title_align="left")
                )
    console.rule("where to look next")
    console.print(
        "  [bold]make dev[/]              the same in the Dagster UI, and a page of webhooks\n"
        "  [bold]docs/architecture.md[/]  the data flow and the invariants\n"
        "  [bold]docs/feature-flag.md[/]  how to turn enrichment on\n"
        "  [bold]dbt_project/models/[/]   where the number comes from"
    )
    if kept is not None:
        console.print(f"  {kept}  what this demo made: warehouse files, logs, dagster.log")
    console.print(f"[dim]{seconds:.0f} s in all; nothing was left running[/]")


def _sent_table(one: Round, *, is_wide: bool) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{len(one.rows)} completions detected",
        title_justify="left",
        pad_edge=False,
        collapse_padding=True,
    )
    for name in ("passed, UTC", "user", "course run", *(["sent to"] if is_wide else [])):
        table.add_column(name, no_wrap=True)
    table.add_column("hours", justify="right", no_wrap=True)
    table.add_column("outcome")
    for row in _varied(one.rows):
        seconds = row["learning_time_seconds"]
        style = STYLES.get(row["state"], "")
        reason = f": {row['state_reason']}" if row["state_reason"] else ""
        table.add_row(
            f"{row['occurred_at']:%m-%d %H:%M}",
            str(row["user_id"]),
            row["courserun_key"].partition("+")[2],
            *([(row["url"] or "").rsplit("/", 1)[-1]] if is_wide else []),
            "" if seconds is None else f"{seconds / 3600:.2f}",
            f"[{style}]{row['state']}{reason}[/]",
        )
    return table


def _outcome_table(one: Round) -> Table:
    table = Table("outcome", "webhooks", "", box=box.SIMPLE_HEAD)
    most = max(one.counts.values(), default=1)
    for outcome, count in one.counts.items():
        style = STYLES.get(outcome.split(":")[0], "")
        bar = "█" * max(1, round(BAR * count / most))
        table.add_row(f"[{style}]{outcome}[/]", str(count), f"[{style}]{bar}[/]")
    return table


def _varied(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A few rows that show every outcome, plus ordinary ones."""
    firsts: dict[tuple[str, str | None], dict[str, Any]] = {}
    ordinary = []
    for row in rows:
        outcome = row["state"], row["state_reason"]
        if outcome == (State.DELIVERED, None):
            ordinary.append(row)
        else:
            firsts.setdefault(outcome, row)
    special = list(firsts.values())
    shown = ordinary[: SHOWN_ROWS - len(special)] + special
    return sorted(shown, key=lambda row: (row["occurred_at"], row["webhook_id"]))


def _count(values: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
