"""Notes that a run writes to its own tags, so the sensor knows which work is done.

The status of a run is not enough: a dry run succeeds, and so does a run of one asset, or one that
left recording to another run. Each note includes the id of its run, because a re-executed run
inherits the tags of the first one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import dagster as dg

from orchestration.keys import ENRICHED, NEW, WEBHOOKS

PREFIX = "webhooks/"
SEEN = f"{PREFIX}seen"
"""State of the replicas and marts before the run read them (``changes.sources_token``). It does not
claim any work, so it needs no run id, and runs can be found by it.
"""
DRY = f"{PREFIX}dry_run"
REPEAT_AT = f"{PREFIX}repeat_at"
"""When the work that the run had to leave can be done, ISO 8601 in UTC."""
NEXT = f"{PREFIX}next"
"""What is due next in the ledger (``HandOver``), so the sensor need not query it."""
LOOKED = f"{PREFIX}looked"
"""The run has noted what it saw; anything it reads later must not replace that note."""


def done(key: dg.AssetKey) -> str:
    """The note that an asset has done all of its work, not in a dry run."""
    own = {NEW: "detected", ENRICHED: "built", WEBHOOKS: "sent"}
    return PREFIX + (own.get(key) or f"detected/{key.path[-1]}")


def note(context: dg.AssetExecutionContext, name: str, value: str = "yes") -> None:
    """Write a note on this run."""
    run_id = context.run.run_id
    context.instance.add_run_tags(run_id, {name: f"{run_id} {value}"})


def note_seen(context: dg.AssetExecutionContext, token: str) -> None:
    """Note the source state before this run reads it. Only the first asset's note counts."""
    run = context.instance.get_run_by_id(context.run.run_id)
    if run is None or noted(run, LOOKED) is None:
        note(context, LOOKED)
        context.instance.add_run_tags(context.run.run_id, {SEEN: token})


def note_repeat(context: dg.AssetExecutionContext, at: datetime) -> None:
    """Note when the work that this run leaves can be done; the earliest time counts."""
    run = context.instance.get_run_by_id(context.run.run_id)
    known = None if run is None else repeat_at(run)
    note(context, REPEAT_AT, min(at, known or at).isoformat())


def noted(run: dg.DagsterRun, name: str) -> str | None:
    """A note written by this run itself."""
    run_id, _, value = run.tags.get(name, "").partition(" ")
    return value if run_id == run.run_id else None


def is_done(run: dg.DagsterRun, recorded: Iterable[dg.AssetKey]) -> bool:
    """Whether the run has recorded with these assets, built and sent, none of it as a dry run."""
    return all(noted(run, done(key)) is not None for key in (*recorded, ENRICHED, WEBHOOKS))


def repeat_at(run: dg.DagsterRun) -> datetime | None:
    """When the run can be repeated, by its own note; naive UTC."""
    text = noted(run, REPEAT_AT)
    return None if text is None else datetime.fromisoformat(text)


def is_of(run: dg.DagsterRun, tags: Mapping[str, str]) -> bool:
    """Whether a run has these tags, or no values for them."""
    return all(run.tags.get(name, value) == value for name, value in tags.items())
