"""The webhooks as assets: build and send, downstream of the recording assets."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial

import dagster as dg

from orchestration.config import DeliveryConfig, EnrichmentConfig
from orchestration.defs.webhooks.dry_run import is_dry_run, would_build, would_send
from orchestration.defs.webhooks.run_notes import DRY, note
from orchestration.defs.webhooks.steps import build, or_go_on_below, send, settings_of
from orchestration.keys import ENRICHED, WEBHOOKS, record_key
from orchestration.resources import WarehouseResource
from orchestration.teams import Team
from sync.domain.event_types import recorded_types

GROUP = "webhooks"
SEND_FRESHNESS = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=2, minutes=30), fail_window=timedelta(hours=4)
)
"""At most two hours pass on a quiet site: the hourly schedule starts no run within an hour of
another. No check can notice that nothing runs."""


@dg.asset(
    key=WEBHOOKS,
    group_name=GROUP,
    freshness_policy=SEND_FRESHNESS,
    kinds={"python", "http"},
    owners=Team.INTEGRATIONS.owners,
    deps=[ENRICHED],
    description=(
        "Webhooks sent: due webhooks are claimed in batches, signed, posted to each customer's "
        "endpoint, and the results recorded in the ledger."
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


def building(recorded: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """The asset that builds messages, downstream of those that record events."""

    @dg.asset(
        key=ENRICHED,
        group_name=GROUP,
        kinds={"snowflake", "python"},
        owners=Team.INTEGRATIONS.owners,
        deps=[
            *recorded,
            dg.AssetKey(["marts", "completion_learning_time"]),
            dg.AssetKey(["marts", "webhook_endpoints"]),
        ],
        description=(
            "Messages built: endpoint chosen, learning time looked up if the flag is on, body "
            "built once. Every attempt sends the same bytes."
        ),
    )
    def enriched_completions(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, config: EnrichmentConfig
    ) -> Iterator[dg.MaterializeResult | dg.AssetMaterialization]:
        if is_dry_run(context):
            note(context, DRY)
            settings = {"settings": settings_of(context, ENRICHED, config)}
            facts = would_build(context, warehouse) | settings
        else:
            work = partial(build, context, warehouse, config)
            facts = yield from or_go_on_below(context, warehouse, ENRICHED, work)
        yield dg.MaterializeResult(metadata=facts)

    return enriched_completions


@dg.definitions
def webhook_assets() -> dg.Definitions:
    """The assets shared by all event types, each with a link to its code. The component
    ``WebhookEventComponent`` creates the recording asset of each type."""
    built = building([record_key(one) for one in recorded_types()])
    return dg.Definitions(assets=dg.with_source_code_references([built, completion_webhooks]))
