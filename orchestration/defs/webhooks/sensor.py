"""When deliveries start: soon after a change, as often as the cost dial allows, and at least
hourly. Sensor and schedule start stopped."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from orchestration.config import EnrichmentConfig
from orchestration.defs.webhooks.jobs import WEBHOOKS_JOB, warehouse_tags
from orchestration.defs.webhooks.run_notes import (
    DRY,
    NEXT,
    SEEN,
    is_done,
    is_of,
    noted,
    repeat_at,
)
from orchestration.keys import record_key
from orchestration.resources import DialResource, WarehouseResource
from sync.domain.event_types import recorded_types
from sync.operations.changes import HandOver, LastRun, Seen, Skip, Start, decide, poll
from sync.warehouse import RelationMissing

LOOK_EVERY_SECONDS = 30
LONGEST_RUN = timedelta(minutes=20)
"""An older run has died silently and must not block the next one."""
NET = timedelta(hours=1)
SENSOR_TAG = "dagster/sensor_name"
"""Dagster's tag on runs that a sensor started."""
DRY_REPEAT = timedelta(hours=1)
MOST_LOOKED_AT = 50
"""Runs read to find one that counts: dry runs and those of another warehouse do not."""
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
AT_WORK = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
ACTIVE = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, *AT_WORK]


@dg.sensor(
    name="completions_arrived",
    job_name=WEBHOOKS_JOB,
    minimum_interval_seconds=LOOK_EVERY_SECONDS,
    description=(
        "Starts a delivery run when the replicas change or a webhook comes due, at most one per "
        "interval of the resource `dial`. On Snowflake, it reads metadata only, so an idle "
        "warehouse stays suspended. Changes are recorded as observations of the raw tables."
    ),
)
def completions_arrived(
    context: dg.SensorEvaluationContext, warehouse: WarehouseResource, dial: DialResource
) -> dg.SensorResult | dg.SkipReason:
    """Check whether there is any work."""
    since = datetime.now(UTC) - LONGEST_RUN
    running = _own_runs(context.instance, ACTIVE, created_after=since)
    if running:
        return dg.SkipReason(f"run {running[0].dagster_run.run_id} is still delivering")
    stuck = _own_runs(context.instance, AT_WORK)
    before = Seen.from_cursor(context.cursor)
    now = datetime.now(UTC).replace(tzinfo=None)
    policy = EnrichmentConfig().policy()
    max_wait = policy.max_wait if policy.enabled else timedelta(0)
    try:
        with warehouse.metadata_session(purpose="sensor") as session:
            found = poll(session, before, told=_told(context.instance), now=now, max_wait=max_wait)
    except RelationMissing as error:
        return dg.SkipReason(f"not set up yet: {error}")
    decision = decide(
        before,
        found,
        is_handled=_is_handled(context.instance, found.seen.sources),
        last=_last_run(context.instance),
        dial=dial.minutes,
        stuck=stuck[0].dagster_run.run_id if stuck else None,
        now=now,
    )
    observed = _observations(before, found.seen)
    match decision:
        case Skip(reason, seen):
            return dg.SensorResult(
                cursor=seen.cursor(), skip_reason=dg.SkipReason(reason), asset_events=observed
            )
        case Start(reason, key, seen):
            # Noted already here, so a run that never starts keeps what the sensor saw.
            tags = {"reason": reason, **({SEEN: seen.sources} if seen.sources else {})}
            request = dg.RunRequest(run_key=key, tags=tags)
            return dg.SensorResult(
                cursor=seen.cursor(), run_requests=[request], asset_events=observed
            )


@dg.schedule(
    name="completion_webhooks_hourly",
    job_name=WEBHOOKS_JOB,
    cron_schedule="12 * * * *",
    execution_timezone="UTC",
    description=(
        "Fallback for the sensor: an hourly delivery run, unless the last one started within the "
        "hour and has done all of its work. Just after a build, while the warehouse is awake."
    ),
)
def completion_webhooks_hourly(
    context: dg.ScheduleEvaluationContext,
) -> dg.RunRequest | dg.SkipReason:
    """Start a run if none has done its work in the last hour."""
    now = context.scheduled_execution_time
    for record in _own_runs(context.instance, None, created_after=now - NET)[:1]:
        run = record.dagster_run
        is_young = record.create_timestamp > now - LONGEST_RUN
        if is_done(run, _recorded()) or (run.status in ACTIVE and is_young):
            return dg.SkipReason(f"run {run.run_id} covers it")
    return dg.RunRequest()


def _recorded() -> list[dg.AssetKey]:
    """The recording assets of a delivery run; event types with their own schedule have their own
    runs."""
    return [record_key(one) for one in recorded_types() if not one.schedule]


def _observations(before: Seen, seen: Seen) -> list[dg.AssetObservation]:
    """Observations of the raw tables that changed since the last poll."""
    return [
        dg.AssetObservation(
            dg.AssetKey(table.split("/")),
            description="Changed since the last poll.",
            metadata={"change_token": token},
        )
        for table, token in seen.tables.items()
        if before.tables.get(table) != token
    ]


def _own_runs(
    instance: dg.DagsterInstance,
    statuses: list[dg.DagsterRunStatus] | None,
    *,
    created_after: datetime | None = None,
) -> list[dg.RunRecord]:
    """Runs of the webhooks on this warehouse, newest first. Another code location of this Dagster
    may have a job of the same name on another warehouse."""
    records = instance.get_run_records(
        dg.RunsFilter(job_name=WEBHOOKS_JOB, statuses=statuses, created_after=created_after),
        limit=MOST_LOOKED_AT,
    )
    own = warehouse_tags()
    return [one for one in records if is_of(one.dagster_run, own)]


def _is_handled(instance: dg.DagsterInstance, sources: str) -> bool:
    """Whether a run that saw exactly these sources has done all of its work."""
    records = instance.get_run_records(dg.RunsFilter(tags={SEEN: sources}), limit=MOST_LOOKED_AT)
    return any(is_done(one.dagster_run, _recorded()) for one in records)


def _told(instance: dg.DagsterInstance) -> HandOver | None:
    """What is due next, by the note of the newest run that has ended."""
    texts = (noted(one.dagster_run, NEXT) for one in _own_runs(instance, ENDED))
    return HandOver.from_text(next((text for text in texts if text is not None), None))


def _last_run(instance: dg.DagsterInstance) -> LastRun | None:
    """The newest run that has ended. A manual dry run does not count: it neither did the work of
    the run before it nor failed to."""
    for record in _own_runs(instance, ENDED):
        run = record.dagster_run
        is_dry = noted(run, DRY) is not None
        if is_dry and SENSOR_TAG not in run.tags:
            continue
        began_at = _naive(record.start_time or record.create_timestamp.timestamp())
        ended_at = _naive(record.end_time or record.update_timestamp.timestamp())
        return LastRun(
            run_id=run.run_id,
            began_at=began_at,
            has_failed=run.status is not dg.DagsterRunStatus.SUCCESS,
            # With dry_run set for a whole deployment, runs would follow each other all day.
            left_until=ended_at + DRY_REPEAT if is_dry else repeat_at(run),
            saw=run.tags.get(SEEN),
        )
    return None


def _naive(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None)
