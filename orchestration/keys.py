"""Keys of the webhook assets, shared by other modules."""

from __future__ import annotations

import dagster as dg

from sync.domain.event_types import EventType

NEW = dg.AssetKey(["sync", "newly_completed_enrollments"])
ENRICHED = dg.AssetKey(["sync", "enriched_completions"])
WEBHOOKS = dg.AssetKey(["sync", "completion_webhooks"])
STEPS = (NEW, ENRICHED, WEBHOOKS)


def record_key(source: EventType) -> dg.AssetKey:
    """The asset that records events of a type."""
    return dg.AssetKey(["sync", source.asset])


def op_name(key: dg.AssetKey) -> str:
    """Name of an asset in run config."""
    return "__".join(key.path)
