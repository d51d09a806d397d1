"""Metadata of what would happen: dry runs and previews. Names differ from what has happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import dagster as dg

from orchestration.metadata import bar_chart, table
from sync.delivery.record import Enqueued, HeldBack
from sync.operations.preview_report import FROZEN_SHOWN, Preview

NOTE = "dry run: nothing was recorded, frozen or sent"


def detection(found: Mapping[str, Enqueued | HeldBack]) -> dict[str, Any]:
    """What detection would record."""
    facts: dict[str, Any] = {"dry_run": True, "note": NOTE}
    for what, outcome in found.items():
        match outcome:
            case HeldBack(found=count, limit=limit):
                facts |= {
                    f"would_record_{what}": 0,
                    f"would_hold_back_{what}": count,
                    "mass_send_limit": limit,
                }
            case Enqueued(awaiting=awaiting, suppressed=suppressed):
                facts |= {
                    f"would_record_{what}": awaiting,
                    f"would_suppress_{what}_before_activation": suppressed,
                }
    return facts


def freezing(found: Preview) -> dict[str, Any]:
    """What would be frozen: every undecided event, the new ones included."""
    undecided = [one for one in found.let_through if one.origin != "frozen"]
    frozen = [one for one in undecided if one.body is not None]
    enriched = sum(one.enrichment_outcome == "found" for one in frozen)
    return {
        "dry_run": True,
        "note": NOTE,
        "would_freeze": len(frozen),
        "would_enrich": enriched,
        "would_enrich_share": enriched / len(frozen) if frozen else 0.0,
        "would_leave_waiting": sum(one.verdict == "wait" and not one.body for one in undecided),
        "would_hold": sum(one.verdict == "hold" and not one.body for one in undecided),
        "would_suppress": sum(one.verdict == "suppress" for one in undecided),
        **guard(found),
        "outcomes": dg.MetadataValue.md(
            bar_chart(
                Counter(
                    f"frozen: {one.enrichment_outcome}"
                    if one.body is not None
                    else f"{one.verdict}: {one.reason}"
                    for one in undecided
                )
            )
        ),
        "problems": problems(found),
    }


def delivery(found: Preview) -> dict[str, Any]:
    """What would be sent, to which endpoint, and what would wait."""
    return {
        "dry_run": True,
        "note": NOTE,
        "would_send": sum(one.verdict == "send" for one in found.planned),
        "due_already": found.due_frozen,
        "due_already_not_listed": max(0, found.due_frozen - FROZEN_SHOWN),
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
    counts = Counter(
        (one.endpoint_id or 0, one.verdict, one.reason or "", one.payload_format or "")
        for one in found.let_through
        if one.body is not None
    )
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


def planned_table(found: Preview, *, limit: int) -> dg.TableMetadataValue:
    """The first webhooks one by one; ids and numbers, nobody's data."""
    return table(
        [
            {
                "webhook_id": one.webhook_id,
                "from": "replay" if one.is_replay else one.origin,
                "verdict": one.verdict,
                "why": one.reason or one.enrichment_outcome or "",
                "endpoint": one.endpoint_id or 0,
                "format": one.payload_format or "",
                "seconds": "" if one.learning_time_seconds is None else one.learning_time_seconds,
                "enterprise": one.enterprise_customer_uuid,
                "course_run": one.courserun_key,
            }
            for one in found.planned[:limit]
        ]
    )


def problems(found: Preview) -> dg.MarkdownMetadataValue:
    """Why something is held or without learning time."""
    lines = [f"- {count} × {text}" for text, count in found.problems.most_common()]
    return dg.MetadataValue.md("\n".join(lines) or "none")
