"""Metadata of what would happen: dry runs and previews. Names differ from what has happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import dagster as dg

from orchestration.metadata import built, outcomes, table
from sync.delivery.record import OverLimit, Recorded
from sync.operations.preview import Preview

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


def building(found: Preview) -> dict[str, Any]:
    """What would be built: every event without a message, the new ones included."""
    return {
        "dry_run": True,
        "note": NOTE,
        **{f"would_be_{name}": value for name, value in built(found.events).items()},
        **guard(found),
        "outcomes": outcomes(found.events),
        "problems": problems(found),
    }


def delivery(found: Preview) -> dict[str, Any]:
    """What would be sent, to which endpoint, and what would wait."""
    return {
        "dry_run": True,
        "note": NOTE,
        "would_send": sum(n for one, n in found.fates.items() if one.verdict == "send"),
        "due_already": found.due,
        "by_endpoint": by_endpoint(found),
        **guard(found),
        "problems": problems(found),
    }


def guard(found: Preview) -> dict[str, Any]:
    """What the mass-send guard would hold back, and its word."""
    return {
        "would_hold_back": found.held_back,
        **({"mass_send_guard": found.guard} if found.guard else {}),
    }


def by_endpoint(found: Preview) -> dg.TableMetadataValue:
    """Messages by endpoint and by what would become of them."""
    counts: Counter[tuple[int, str, str, str]] = Counter()
    for one, number in found.fates.items():
        if one.enrichment_outcome is not None:
            key = (one.endpoint_id or 0, one.verdict, one.reason or "", one.payload_format or "")
            counts[key] += number
    return table(
        [
            {
                "endpoint": endpoint_id,
                "verdict": verdict,
                "why": why,
                "format": payload_format,
                "webhooks": count,
            }
            for (endpoint_id, verdict, why, payload_format), count in sorted(counts.items())
        ]
    )


def verdicts(found: Preview) -> dg.TableMetadataValue:
    """Webhooks by what would become of them, and why."""
    return table(
        [
            {"verdict": verdict, "why": why, "webhooks": count}
            for (verdict, why), count in sorted(found.counts().items())
        ]
    )


def problems(found: Preview) -> dg.MarkdownMetadataValue:
    """Why something is held or without learning time."""
    lines = [f"- {count} × {text}" for text, count in found.problems.most_common()]
    return dg.MetadataValue.md("\n".join(lines) or "none")
