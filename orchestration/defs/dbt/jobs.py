"""The job that builds the models, and when it runs. Schedules start stopped."""

import dagster as dg

from orchestration.resources import DialResource
from sync.operations.dial import is_build_due

learning_time_job = dg.define_asset_job(
    "learning_time_job",
    selection=dg.AssetSelection.groups("seeds", "staging", "intermediate", "marts", "delivery"),
    # dbt is a subprocess already.
    executor_def=dg.in_process_executor,
    tags={"dagster/max_retries": "1"},
    description="Build and test the models: learning time from new log lines, and deliveries.",
)


@dg.schedule(
    name="learning_time_every_30_minutes",
    job=learning_time_job,
    cron_schedule="10,40 * * * *",
    execution_timezone="UTC",
    description=(
        "Every 30 minutes: with the watermark delay of 10, a completion's learning time is ready "
        "within 40 minutes, less than the 60 that it may wait. Hourly if the resource `dial` is "
        "above 30."
    ),
)
def learning_time_every_30_minutes(
    context: dg.ScheduleEvaluationContext, dial: DialResource
) -> dg.RunRequest | dg.SkipReason:
    """Build, unless the dial skips this tick."""
    if is_build_due(context.scheduled_execution_time, dial.minutes):
        return dg.RunRequest()
    return dg.SkipReason(f"the warehouse may be woken only every {dial.minutes} minutes")
