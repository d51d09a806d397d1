"""What Dagster loads."""

from __future__ import annotations

import os

import dagster as dg

from orchestration.checks import CHECKS
from orchestration.dbt import dbt_asset_definitions, dbt_cli, dbt_project
from orchestration.jobs import jobs, schedules
from orchestration.operations import operation_jobs, operation_schedules
from orchestration.report import delivery_report
from orchestration.resources import WarehouseResource
from orchestration.sensors import a_check_failed, a_run_failed, completions_arrived
from orchestration.webhooks import (
    completion_webhooks,
    enriched_completions,
    newly_completed_enrollments,
)
from sync.operations.environment import check_environment

check_environment(os.environ)

defs = dg.Definitions(
    assets=[
        *dbt_asset_definitions(),
        newly_completed_enrollments,
        enriched_completions,
        completion_webhooks,
        delivery_report,
    ],
    asset_checks=CHECKS,
    jobs=[*jobs(), *operation_jobs()],
    schedules=[*schedules(), *operation_schedules()],
    sensors=[completions_arrived, a_run_failed, a_check_failed],
    resources={"dbt": dbt_cli(dbt_project()), "warehouse": WarehouseResource()},
)
