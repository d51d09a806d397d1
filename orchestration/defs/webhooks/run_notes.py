"""What a run notes in its own tags, so that the sensor knows which work is done.

The status of a run does not say it: a dry run succeeds, and so does a run of one asset, or one that
left the recording to another. Each note carries the id of its run, because a run that is started
again takes over the tags of the first one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import dagster as dg

from orchestration.keys import ENRICHED, NEW, WEBHOOKS

PREFIX = "webhooks/"
SEEN = f"{PREFIX}seen"
"""What the replicas and marts were like before the run looked (``changes.sources_token``). No
promise by itself, so it needs no run id, and runs can be found by it.
"""
DRY = f"{PREFIX}dry_run"
REPEAT_AT = f"{PREFIX}repeat_at"
"""When what the run had to leave can be done, ISO 8601 in UTC."""
NEXT = f"{PREFIX}next"
"""What comes next in the ledger (``HandOver``), so that nobody has to look."""
LOOKED = f"{PREFIX}looked"
"""The run has noted what it saw; what it sees later is no longer all that it went by."""


def done(key: dg.AssetKey) -> str:
    """The note that an asset has done all of its work, really."""
    own = {NEW: "detected", ENRICHED: "built", WEBHOOKS: "sent"}
    return PREFIX + (own.get(key) or f"detected/{key.path[-1]}")


def note(context: dg.AssetExecutionContext, name: str, value: str = "yes") -> None:
    """Write a note on this run."""
    run_id = context.run.run_id
    context.instance.add_run_tags(run_id, {name: f"{run_id} {value}"})


def note_seen(context: dg.AssetExecutionContext, token: str) -> None:
    """Say what this run looks at, before it looks. Of several assets that look the first counts."""
    run = context.instance.get_run_by_id(context.run.run_id)
    if run is None or noted(run, LOOKED) is None:
        note(context, LOOKED)
        context.instance.add_run_tags(context.run.run_id, {SEEN: token})


def note_repeat(context: dg.AssetExecutionContext, at: datetime) -> None:
    """Say when what this run leaves can be done; of several times the earliest counts."""
    run = context.instance.get_run_by_id(context.run.run_id)
    known = None if run is None else repeat_at(run)
    note(context, REPEAT_AT, min(at, known or at).isoformat())


def noted(run: dg.DagsterRun, name: str) -> str | None:
    """A note that this very run has written."""
    run_id, _, value = run.tags.get(name, "").partition(" ")
    return value if run_id == run.run_id else None


def is_done(run: dg.DagsterRun, recorded: Iterable[dg.AssetKey]) -> bool:
    """Whether the run has recorded by these assets, built and sent, and none of it dry."""
    return all(noted(run, done(key)) is not None for key in (*recorded, ENRICHED, WEBHOOKS))


def repeat_at(run: dg.DagsterRun) -> datetime | None:
    """When the run said that it can be repeated; naive UTC."""
    text = noted(run, REPEAT_AT)
    return None if text is None else datetime.fromisoformat(text)


def is_of(run: dg.DagsterRun, tags: Mapping[str, str]) -> bool:
    """Whether a run bears these tags, or says nothing about them."""
    return all(run.tags.get(name, value) == value for name, value in tags.items())
