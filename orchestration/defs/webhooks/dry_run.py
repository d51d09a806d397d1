"""A run that decides and reports everything but writes and sends nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from orchestration.config import FLAG, DetectionConfig, EnrichmentConfig, RecordingConfig
from orchestration.effective import config_of, given_config, is_true
from orchestration.keys import ENRICHED, NEW, WEBHOOKS, op_name, record_key
from orchestration.metadata import built, outcomes, problems, table
from orchestration.resources import WarehouseResource
from sync.clock import warehouse_clock
from sync.delivery.destinations import open_destination
from sync.delivery.record import OverLimit, Recorded, plan_record
from sync.domain.event_types import EventType, recorded_types
from sync.operations.next_run import NextRun, ReadOnly, next_run

UNLIMITED = 2**31
NOTE = "dry run: nothing was recorded, built or sent"


def is_dry_run(context: dg.AssetExecutionContext) -> bool:
    """Whether this run may change nothing: ``dry_run`` is true on any webhook asset that it runs.

    Otherwise, a run with ``dry_run`` on only the last asset would record and build for real.
    """
    selected = context.run.asset_selection
    given = [
        given_config(context.run.run_config, op_name(key))
        for key in (*(record_key(one) for one in recorded_types()), ENRICHED, WEBHOOKS)
        # Empty, not None, when a whole job runs in process.
        if not selected or key in selected
    ]
    return any(is_true(one.get("dry_run", FLAG.is_dry_run)) for one in given)


def is_enriching(context: dg.AssetExecutionContext) -> bool:
    """Whether the feature flag is on in this run, by the config of its build step."""
    given = given_config(context.run.run_config, op_name(ENRICHED))
    return config_of(EnrichmentConfig, given).policy().enabled


def would_detect(
    context: dg.AssetExecutionContext,
    warehouse: WarehouseResource,
    source: EventType,
    config: RecordingConfig,
) -> tuple[Recorded | OverLimit, dict[str, Any]]:
    """The events of a type that would be recorded, and metadata about them."""
    with _read_only(warehouse) as session:
        found = plan_record(
            session,
            clock=warehouse_clock(session),
            source=source,
            activated_at=config.activation(),
            mass_send_limit=config.mass_send_limit,
            allow_mass_send=config.allow_mass_send,
            is_enriching=is_enriching(context),
        )
    context.log.info(NOTE)
    facts: dict[str, Any] = {"dry_run": True, "note": NOTE}
    match found:
        case OverLimit(found=count, limit=limit):
            return found, facts | {
                f"would_record_{source.plural}": 0,
                f"would_hold_back_{source.plural}": count,
                "mass_send_limit": limit,
            }
        case Recorded(awaiting=awaiting, suppressed=suppressed):
            return found, facts | {
                f"would_record_{source.plural}": awaiting,
                f"would_suppress_{source.plural}_before_activation": suppressed,
            }


def would_build(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dict[str, Any]:
    """Metadata: every event without a message, including new ones, and its outcome."""
    found = _plan(context, warehouse)
    return _facts(found) | {
        **{f"would_be_{name}": value for name, value in built(found.events).items()},
        "outcomes": outcomes(found.events),
    }


def would_send(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dict[str, Any]:
    """Metadata: what would be sent, to which endpoint, and what would wait, and why."""
    found = _plan(context, warehouse)
    return _facts(found) | {
        "would_send": found.sent,
        "due_already": found.due,
        "by_endpoint": table(found.by_endpoint()),
    }


def _facts(found: NextRun) -> dict[str, Any]:
    return {
        "dry_run": True,
        "note": NOTE,
        "would_hold_back": found.held_back,
        **({"mass_send_guard": found.guard} if found.guard else {}),
        "problems": problems(found.problems),
    }


def _plan(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> NextRun:
    """The next run with the settings of this one."""
    run_config = context.run.run_config
    detection = config_of(DetectionConfig, given_config(run_config, op_name(NEW)))
    enrichment = config_of(EnrichmentConfig, given_config(run_config, op_name(ENRICHED)))
    with (
        _read_only(warehouse) as session,
        open_destination(os.environ, session.settings) as tools,
    ):
        found = next_run(
            session,
            policy=enrichment.policy(),
            clock=warehouse_clock(session),
            readiness_of=tools.readiness,
            sources=recorded_types(),
            activated_at=detection.activation(),
            mass_send_limit=UNLIMITED if detection.allow_mass_send else detection.mass_send_limit,
        )
    context.log.info(NOTE)
    return found


@contextmanager
def _read_only(warehouse: WarehouseResource) -> Iterator[ReadOnly]:
    with warehouse.metadata_session(purpose="dry-run") as session:
        yield ReadOnly(session)
