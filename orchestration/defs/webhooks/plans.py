"""Metadata of what would happen: a dry run. Names differ from what has happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from orchestration.metadata import built, outcomes, table
from sync.delivery.record import OverLimit, Recorded
from sync.operations.next_run import NextRun

NOTE = "dry run: nothing was recorded, built or sent"


def detection(found: Mapping[str, Recorded | OverLimit]) -> dict[str, Any]:
    """What detection would record."""
    facts: dict[str, Any] = {"dry_run": True, "note": NOTE}
    for what, outcome in found.items():
        match outcome:
            case OverLimit(found=count, limit=limit):
                facts |= {
                    f"would_record_{what}": 0,
                    f"would_hold_back_{what}": count,
                    "mass_send_limit": limit,
                }
            case Recorded(awaiting=awaiting, suppressed=suppressed):
                facts |= {
                    f"would_record_{what}": awaiting,
                    f"would_suppress_{what}_before_activation": suppressed,
                }
    return facts


def building(found: NextRun) -> dict[str, Any]:
    """What would be built: every event without a message, the new ones included."""
    return {
        "dry_run": True,
        "note": NOTE,
        **{f"would_be_{name}": value for name, value in built(found.events).items()},
        **guard(found),
        "outcomes": outcomes(found.events),
        "problems": problems(found),
    }


def delivery(found: NextRun) -> dict[str, Any]:
    """What would be sent, to which endpoint, and what would wait."""
    return {
        "dry_run": True,
        "note": NOTE,
        "would_send": found.sent,
        "due_already": found.due,
        "by_endpoint": table(found.by_endpoint()),
        **guard(found),
        "problems": problems(found),
    }


def guard(found: NextRun) -> dict[str, Any]:
    """What the mass-send guard would hold back, and its word."""
    return {
        "would_hold_back": found.held_back,
        **({"mass_send_guard": found.guard} if found.guard else {}),
    }


def problems(found: NextRun) -> dg.MarkdownMetadataValue:
    """Why something is held or without learning time."""
    lines = [f"- {count} × {text}" for text, count in found.problems.most_common()]
    return dg.MetadataValue.md("\n".join(lines) or "none")
