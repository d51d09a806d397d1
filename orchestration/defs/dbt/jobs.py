"""The job that builds the number, and when it runs. Schedules start stopped."""

import dagster as dg

learning_time_job = dg.define_asset_job(
    "learning_time_job",
    selection=dg.AssetSelection.groups("seeds", "staging", "intermediate", "marts"),
    # dbt is a subprocess already.
    executor_def=dg.in_process_executor,
    tags={"dagster/max_retries": "1"},
    description="Rebuild the learning_time mart from new tracking-log lines and test it.",
)

learning_time_every_30_minutes = dg.ScheduleDefinition(
    name="learning_time_every_30_minutes",
    job_name=learning_time_job.name,
    cron_schedule="10,40 * * * *",
    execution_timezone="UTC",
    description=(
        "Every 30 minutes: with the watermark delay of 10, a completion's learning time is there "
        "after 40 minutes at most, within the 60 that it may wait."
    ),
)
