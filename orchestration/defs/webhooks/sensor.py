"""Low latency at no cost while idle. The sensor starts stopped."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from orchestration.config import EnrichmentConfig
from orchestration.defs.webhooks.jobs import WEBHOOKS_JOB, warehouse_tags
from orchestration.defs.webhooks.run_notes import DRY, SEEN, is_done, is_of, noted, repeat_at
from orchestration.resources import WarehouseResource
from sync.operations.changes import LastRun, Seen, Skip, Start, decide, poll
from sync.warehouse import RelationMissing

LOOK_EVERY_SECONDS = 30
LONGEST_RUN = timedelta(minutes=20)
"""A run that is older has died without a word, and must not keep the next one from starting."""
SENSOR_TAG = "dagster/sensor_name"
"""Dagster marks the runs with it that a sensor has started."""
DRY_REPEAT = timedelta(hours=1)
MOST_LOOKED_AT = 50
"""Runs that are read to find one that counts: dry ones and those of another warehouse do not."""
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
        "Starts a delivery run when the replicas have changed or a webhook comes due. On Snowflake "
        "it asks for metadata only, so an idle warehouse stays suspended. What it sees change is "
        "observed on the raw tables."
    ),
)
def completions_arrived(
    context: dg.SensorEvaluationContext, warehouse: WarehouseResource
) -> dg.SensorResult | dg.SkipReason:
    """Ask whether there is anything to do."""
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
            found = poll(session, before, now=now, max_wait=max_wait)
    except RelationMissing as error:
        return dg.SkipReason(f"not set up yet: {error}")
    decision = decide(
        before,
        found,
        is_handled=_is_handled(context.instance, found.seen.sources),
        last=_last_run(context.instance),
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
            # Noted here already: a run that never begins has left what the sensor saw.
            tags = {"reason": reason, **({SEEN: seen.sources} if seen.sources else {})}
            request = dg.RunRequest(run_key=key, tags=tags)
            return dg.SensorResult(
                cursor=seen.cursor(), run_requests=[request], asset_events=observed
            )


def _observations(before: Seen, seen: Seen) -> list[dg.AssetObservation]:
    """The raw tables that have changed since the last poll, for their pages in Dagster."""
    return [
        dg.AssetObservation(
            dg.AssetKey(table.split("/")),
            description="Has changed since the last poll.",
            metadata={"change_token": token},
        )
        for table, token in seen.tables.items()
        if before.tables.get(table) != token
    ]


def _own_runs(
    instance: dg.DagsterInstance,
    statuses: list[dg.DagsterRunStatus],
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
    """Whether a run that saw these very sources has done all of its work."""
    records = instance.get_run_records(dg.RunsFilter(tags={SEEN: sources}), limit=MOST_LOOKED_AT)
    return any(is_done(one.dagster_run) for one in records)


def _last_run(instance: dg.DagsterInstance) -> LastRun | None:
    """The newest run that has ended. A person's dry run is none: it neither did the work of the run
    before it nor failed to."""
    for record in _own_runs(instance, ENDED):
        run = record.dagster_run
        is_dry = noted(run, DRY) is not None
        if is_dry and SENSOR_TAG not in run.tags:
            continue
        ended_at = datetime.fromtimestamp(
            record.end_time or record.update_timestamp.timestamp(), UTC
        ).replace(tzinfo=None)
        return LastRun(
            run_id=run.run_id,
            ended_at=ended_at,
            has_failed=run.status is not dg.DagsterRunStatus.SUCCESS,
            # Runs of a deployment where everything is dry would follow each other all day.
            left_until=ended_at + DRY_REPEAT if is_dry else repeat_at(run),
            saw=run.tags.get(SEEN),
        )
    return None
