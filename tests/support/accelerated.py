"""The definitions with a faster clock: what happens every five minutes happens each minute.

Dagster's daemon, its sensors and Python's waits do not follow a library that fakes the clock
(``sem_clockwait`` and gRPC deadlines stay real), so the intervals are shortened by one factor
instead. Waits that the protocol names in seconds, such as those between attempts, stay real.
"""

import dagster as dg

from orchestration.definitions import defs as load
from orchestration.defs.webhooks.sensor import LOOK_EVERY_SECONDS
from orchestration.defs.webhooks.sensor import completions_arrived as look

FACTOR = 5
RUNNING_SCHEDULE = dg.DefaultScheduleStatus.RUNNING
CRON = {
    # Five minutes divided by the factor. The learning-time schedule, every 30, would run only once.
    "learning_time_job": "*/2 * * * *",
    "completion_webhooks_job": "* * * * *",
}


# The real sensor's function with another clock; one sensor cannot call another.
completions_arrived = dg.sensor(
    name=look.name,
    job_name="completion_webhooks_job",
    minimum_interval_seconds=LOOK_EVERY_SECONDS // FACTOR,
    default_status=dg.DefaultSensorStatus.RUNNING,
)(look._raw_fn)  # pyright: ignore[reportPrivateUsage]

loaded = load()

defs = dg.Definitions(
    assets=loaded.assets,
    asset_checks=loaded.asset_checks,
    jobs=loaded.jobs,
    resources=loaded.resources,
    sensors=[completions_arrived],
    schedules=[
        dg.ScheduleDefinition(
            name=f"{job}_accelerated",
            job_name=job,
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=RUNNING_SCHEDULE,
        )
        for job, cron in CRON.items()
    ],
)
