"""What Dagster loads."""

from __future__ import annotations

import dagster as dg

from orchestration.checks import lines_by_reason
from orchestration.dbt import dbt_asset_definitions, dbt_cli, dbt_project
from orchestration.jobs import jobs, schedules
from orchestration.resources import WarehouseResource
from orchestration.sensors import a_run_failed, completions_arrived
from orchestration.webhooks import (
    completion_webhooks,
    enriched_completions,
    newly_completed_enrollments,
)

defs = dg.Definitions(
    assets=[
        *dbt_asset_definitions(),
        newly_completed_enrollments,
        enriched_completions,
        completion_webhooks,
    ],
    asset_checks=[lines_by_reason],
    jobs=jobs(),
    schedules=schedules(),
    sensors=[completions_arrived, a_run_failed],
    resources={"dbt": dbt_cli(dbt_project()), "warehouse": WarehouseResource()},
)
