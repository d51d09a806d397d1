"""The webhooks as assets: detect, build, send. Each reads what the one above wrote."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import dagster as dg

from orchestration.config import DeliveryConfig, DetectionConfig, EnrichmentConfig
from orchestration.defs.webhooks.checks import USUAL_NUMBER
from orchestration.defs.webhooks.dry_run import is_dry_run, would_build, would_detect, would_send
from orchestration.defs.webhooks.run_notes import DRY, note
from orchestration.defs.webhooks.steps import (
    build,
    detect,
    or_go_on_below,
    say_found,
    send,
    settings_of,
)
from orchestration.keys import ENRICHED, NEW, WEBHOOKS
from orchestration.resources import WarehouseResource
from sync.delivery.record import Detected, OverLimit
from sync.domain.event_types import EVENT_TYPES

GROUP = "webhooks"
OUTBOX_POOL = "webhook_outbox"
"""Detection runs one at a time: a second one would find the lease taken and record nothing."""
SEND_FRESHNESS = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=2, minutes=30), fail_window=timedelta(hours=4)
)
"""Two hours pass at most on a quiet site: the hourly schedule starts no run within an hour of
another. No check of its own can notice that nothing runs."""
OWNERS = ["team:integrations"]


@dg.asset(
    key=NEW,
    group_name=GROUP,
    kinds={"snowflake"},
    owners=OWNERS,
    pool=OUTBOX_POOL,
    deps=[
        *(dg.AssetKey(["marts", one.mart]) for one in EVENT_TYPES.values()),
    ],
    check_specs=[USUAL_NUMBER],
    description="Completions that entered the outbox: found by comparing the mart with the outbox.",
)
def newly_completed_enrollments(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, config: DetectionConfig
) -> Iterator[dg.MaterializeResult | dg.AssetMaterialization]:
    """Record what the outbox does not know yet."""
    settings = {"settings": settings_of(context, NEW, config)}
    if is_dry_run(context):
        note(context, DRY)
        found, facts = would_detect(context, warehouse, config)
        for what, outcome in found.items():
            say_found(context, what, outcome, verb="would be recorded")
    else:
        work = partial(detect, context, warehouse, config)
        found, facts = yield from or_go_on_below(context, warehouse, NEW, work)
    yield _detected(config, found.values(), facts | settings)


def _detected(
    config: DetectionConfig, found: Iterable[Detected], facts: dict[str, Any]
) -> dg.MaterializeResult:
    """What was found, and a check that fails where the guard held it back."""
    return dg.MaterializeResult(
        metadata=facts,
        check_results=[
            dg.AssetCheckResult(
                check_name=USUAL_NUMBER.name,
                passed=not any(isinstance(one, OverLimit) for one in found),
                metadata={"limit": config.mass_send_limit},
            )
        ],
    )


@dg.asset(
    key=ENRICHED,
    group_name=GROUP,
    kinds={"snowflake", "python"},
    owners=OWNERS,
    deps=[
        NEW,
        dg.AssetKey(["marts", "completion_learning_time"]),
        dg.AssetKey(["marts", "webhook_endpoints"]),
    ],
    description=(
        "Messages built: endpoint chosen, learning time looked up when the flag is on, body built "
        "once. Every later attempt sends these bytes."
    ),
)
def enriched_completions(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, config: EnrichmentConfig
) -> Iterator[dg.MaterializeResult | dg.AssetMaterialization]:
    """Build the messages of recorded completions."""
    if is_dry_run(context):
        note(context, DRY)
        settings = {"settings": settings_of(context, ENRICHED, config)}
        facts = would_build(context, warehouse) | settings
    else:
        work = partial(build, context, warehouse, config)
        facts = yield from or_go_on_below(context, warehouse, ENRICHED, work)
    yield dg.MaterializeResult(metadata=facts)


@dg.asset(
    key=WEBHOOKS,
    group_name=GROUP,
    freshness_policy=SEND_FRESHNESS,
    kinds={"python", "http"},
    owners=OWNERS,
    deps=[ENRICHED],
    description=(
        "Webhooks sent: due ones claimed in batches, signed, posted to each customer's endpoint, "
        "and the results recorded in the ledger."
    ),
)
def completion_webhooks(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, config: DeliveryConfig
) -> dg.MaterializeResult:
    """Send every due webhook."""
    if is_dry_run(context):
        note(context, DRY)
        settings = {"settings": settings_of(context, WEBHOOKS, config)}
        return dg.MaterializeResult(metadata=would_send(context, warehouse) | settings)
    return dg.MaterializeResult(metadata=send(context, warehouse, config))


@dg.definitions
def webhook_assets() -> dg.Definitions:
    """The three, each with a link to its code."""
    assets = [newly_completed_enrollments, enriched_completions, completion_webhooks]
    return dg.Definitions(assets=dg.with_source_code_references(assets))
