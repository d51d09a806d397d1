"""A run that decides and reports everything, and writes and sends nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from orchestration.config import FLAG, DetectionConfig, EnrichmentConfig
from orchestration.defs.webhooks import plans
from orchestration.effective import config_of, given_config, is_true
from orchestration.keys import ENRICHED, NEW, STEPS, op_name
from orchestration.resources import WarehouseResource
from sync.clock import warehouse_clock
from sync.delivery.destinations import open_destination
from sync.delivery.record import OverLimit, Recorded, plan_record
from sync.domain.event_types import COMPLETIONS
from sync.operations.next_run import NextRun, ReadOnly, next_run

UNLIMITED = 2**31


def is_dry_run(context: dg.AssetExecutionContext) -> bool:
    """Whether this run may change nothing: ``dry_run`` is true on any webhook asset that it runs.

    Else a run with ``dry_run`` on the last asset only would record and build for real.
    """
    selected = context.run.asset_selection
    given = [
        given_config(context.run.run_config, op_name(key))
        for key in STEPS
        # Empty, not None, where a whole job runs in process.
        if not selected or key in selected
    ]
    return any(is_true(one.get("dry_run", FLAG.is_dry_run)) for one in given)


def would_detect(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, config: DetectionConfig
) -> tuple[dict[str, Recorded | OverLimit], dict[str, Any]]:
    """What detection would record, by kind of event, and the metadata that says so."""
    with _read_only(warehouse) as session:
        clock = warehouse_clock(session)
        found = {
            what: plan_record(
                session,
                clock=clock,
                source=source,
                activated_at=config.activation() if source is COMPLETIONS else None,
                mass_send_limit=config.mass_send_limit,
                allow_mass_send=config.allow_mass_send,
            )
            for what, source in config.sources().items()
        }
    context.log.info(plans.NOTE)
    return found, plans.detection(found)


def would_build(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dict[str, Any]:
    """Metadata: what would be built, with and without learning time, and why."""
    return plans.building(_plan(context, warehouse))


def would_send(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dict[str, Any]:
    """Metadata: what would be sent, to which endpoint, and what would wait for what."""
    return plans.delivery(_plan(context, warehouse))


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
            sources=tuple(detection.sources().values()),
            activated_at=detection.activation(),
            mass_send_limit=UNLIMITED if detection.allow_mass_send else detection.mass_send_limit,
        )
    context.log.info(plans.NOTE)
    return found


@contextmanager
def _read_only(warehouse: WarehouseResource) -> Iterator[ReadOnly]:
    with warehouse.metadata_session(purpose="dry-run") as session:
        yield ReadOnly(session)
