"""Names of the webhook assets, for the modules that speak of them."""

from __future__ import annotations

import dagster as dg

NEW = dg.AssetKey(["sync", "newly_completed_enrollments"])
ENRICHED = dg.AssetKey(["sync", "enriched_completions"])
WEBHOOKS = dg.AssetKey(["sync", "completion_webhooks"])
STEPS = (NEW, ENRICHED, WEBHOOKS)


def op_name(key: dg.AssetKey) -> str:
    """Under this name an asset stands in run config."""
    return "__".join(key.path)
