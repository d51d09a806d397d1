"""Jobs named for their promise, and when they run. Schedules start stopped."""

from __future__ import annotations

import hashlib
import os

import dagster as dg

from orchestration.dbt import dbt_asset_definitions
from orchestration.report import GROUP as REPORTS
from orchestration.webhooks import GROUP
from sync.ledger.tables import OUTBOX
from sync.settings import EmbeddedWarehouse, SnowflakeWarehouse, load_settings, model_relation

RETRIES = {"dagster/max_retries": "1"}
WAREHOUSE_TAG = "webhooks/warehouse"


def warehouse_tags() -> dict[str, str]:
    """What tells the runs of this code location from those of another one on the same Dagster."""
    settings = load_settings(os.environ)
    match settings:
        case SnowflakeWarehouse(account=account):
            where = account
        case EmbeddedWarehouse(directory=directory):
            where = str(directory)
    name = f"{where} {model_relation(settings, 'sync', OUTBOX)}"
    return {WAREHOUSE_TAG: hashlib.sha256(name.encode()).hexdigest()[:16]}


def jobs() -> list[dg.UnresolvedAssetJobDefinition]:
    """Jobs of the assets, in one process each: dbt is a subprocess, and sending waits on I/O."""
    learning_time, deliveries = dbt_asset_definitions()
    return [
        dg.define_asset_job(
            "learning_time_job",
            selection=dg.AssetSelection.assets(learning_time),
            executor_def=dg.in_process_executor,
            tags=RETRIES,
            description="Rebuild the learning_time mart from new tracking-log lines and test it.",
        ),
        dg.define_asset_job(
            "completion_webhooks_job",
            selection=dg.AssetSelection.groups(GROUP) | dg.AssetSelection.assets(deliveries),
            executor_def=dg.in_process_executor,
            tags=RETRIES | warehouse_tags(),
            description="Detect new completions, send their webhooks, report on deliveries.",
        ),
        dg.define_asset_job(
            "delivery_report_job",
            selection=dg.AssetSelection.groups(REPORTS),
            executor_def=dg.in_process_executor,
            description="Draw the delivery report. Apart, so that it never delays a delivery.",
        ),
    ]


def schedules() -> list[dg.ScheduleDefinition]:
    """Half-hourly for the number, every five minutes for the message, daily for the report."""
    return [
        dg.ScheduleDefinition(
            name="learning_time_every_30_minutes",
            job_name="learning_time_job",
            cron_schedule="10,40 * * * *",
            execution_timezone="UTC",
            description=(
                "Every 30 minutes: with the settling margin of 10, a completion's learning time is "
                "there after 40 minutes at most, within the 60 that it may wait."
            ),
        ),
        dg.ScheduleDefinition(
            name="completion_webhooks_every_5_minutes",
            job_name="completion_webhooks_job",
            cron_schedule="*/5 * * * *",
            execution_timezone="UTC",
            description="Every five minutes: new completions, and retries that are due.",
        ),
        dg.ScheduleDefinition(
            name="delivery_report_every_day",
            job_name="delivery_report_job",
            cron_schedule="15 5 * * *",
            execution_timezone="UTC",
            description="Every morning at 5:15 UTC; run the job by hand for the state of now.",
        ),
    ]
