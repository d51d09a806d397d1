"""Low latency at no cost while idle, and a voice when a run fails. Both start stopped."""

import logging
import os
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from orchestration.check_texts import OWNER
from orchestration.config import EnrichmentConfig
from orchestration.jobs import warehouse_tags
from orchestration.resources import WarehouseResource
from orchestration.run_notes import DRY, SEEN, is_done, is_of, noted, repeat_at
from sync.errors import SyncError
from sync.http.network import network_policy
from sync.http.transport import Transport
from sync.operations.alerts import failures_in_a_row, is_worth_an_alert, send_alert
from sync.operations.changes import LastRun, Rest, Seen, Wake, decide, look
from sync.settings import load_settings
from sync.warehouse import RelationMissing

LOOK_EVERY_SECONDS = 30
LONGEST_RUN = timedelta(minutes=20)
"""A run that is older has died without a word, and must not keep the next one from starting."""
WEBHOOKS_JOB = "completion_webhooks_job"
SENSOR_TAG = "dagster/sensor_name"
"""Dagster marks the runs with it that a sensor has started."""
DRY_REPEAT = timedelta(hours=1)
MOST_LOOKED_AT = 50
"""Runs that are looked at for one that counts: dry ones and those of another warehouse do not."""
MOST_COUNTED = 2_000
"""Runs that are looked at to count failures in a row: a week of them."""
MOST_EVALUATIONS = 300
"""Of one check, a day of them; each record is larger than that of a run."""
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
        "it asks for metadata only, so an idle warehouse stays suspended."
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
        with warehouse.glance(purpose="sensor") as session:
            found = look(session, before, now=now, max_wait=max_wait)
    except RelationMissing as error:
        return dg.SkipReason(f"not set up yet: {error}")
    decision = decide(
        before,
        found,
        is_used_up=_is_used_up(context.instance, found.seen.sources),
        last=_last_run(context.instance),
        stuck=stuck[0].dagster_run.run_id if stuck else None,
        now=now,
    )
    match decision:
        case Rest(reason, seen):
            return dg.SensorResult(cursor=seen.cursor(), skip_reason=dg.SkipReason(reason))
        case Wake(reason, key, seen):
            # Noted here already: a run that never begins has left what the sensor saw.
            tags = {"reason": reason, **({SEEN: seen.sources} if seen.sources else {})}
            request = dg.RunRequest(run_key=key, tags=tags)
            return dg.SensorResult(cursor=seen.cursor(), run_requests=[request])


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


def _is_used_up(instance: dg.DagsterInstance, sources: str) -> bool:
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


@dg.run_failure_sensor(
    name="a_run_failed",
    description=(
        "Posts which run failed and why to LTW_ALERT_URL (Slack, Mattermost, Teams), or to the URL "
        "of the team whose check stopped it, and hands it to LTW_ALERT_HOOK. Of failures in a row "
        "it tells the 1st, 2nd, 4th, 8th and so on."
    ),
)
def a_run_failed(context: dg.RunFailureSensorContext) -> None:
    """Tell people of a failed run: names and the error's first line, never data."""
    run = context.dagster_run
    failures = failures_in_a_row(_outcomes(context.instance, run))
    if not is_worth_an_alert(failures):
        context.log.info(f"no alert sent: failure {failures} in a row, and people have been told")
        return
    lines = (context.failure_event.message or "no reason given").strip().splitlines()
    in_a_row = "" if failures == 1 else f", {failures} times in a row"
    culprits = [one for one in _failed_checks(context) if not _is_warning(one)]
    teams = {_defined(context, one.asset_check_key)[1] for one in culprits}
    _tell(
        context.log,
        f"{run.job_name} failed{in_a_row} (run {run.run_id}): {lines[0][:300]}",
        teams=teams - {""},
    )


@dg.run_status_sensor(
    name="a_check_failed",
    run_status=dg.DagsterRunStatus.SUCCESS,
    description=(
        "Tells of checks that failed in a run that went on: what they mean, whom they concern and "
        "what to do. Told at the URL of that team, if it has one, else where a_run_failed tells; "
        "as often as that, and a warning once, as it begins."
    ),
)
def a_check_failed(context: dg.RunStatusSensorContext) -> None:
    """Tell people of failed checks: names and texts of the definitions, never data."""
    run, instance = context.dagster_run, context.instance
    for found in _failed_checks(context):
        failures = failures_in_a_row(_checked(instance, found.asset_check_key))
        is_warning = _is_warning(found)
        # A warning may last for days, and nothing gets worse by it: its beginning is enough.
        if not is_worth_an_alert(failures) or (is_warning and failures > 1):
            continue
        name = f"{found.check_name} of {found.asset_key.to_user_string()}"
        verb = "warns" if is_warning else "failed"
        in_a_row = "" if failures == 1 else f", {failures} times in a row"
        about, team = _defined(context, found.asset_check_key)
        _tell(
            context.log,
            f"check {name} {verb}{in_a_row} (run {run.run_id}). {about}",
            teams={team} if team else set(),
        )


def _failed_checks(context: dg.RunStatusSensorContext) -> Iterator[dg.AssetCheckEvaluation]:
    """Evaluations of the run that did not pass, warnings among them."""
    for entry in context.instance.all_logs(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ):
        found = entry.get_dagster_event().asset_check_evaluation_data
        if not found.passed:
            yield found


def _is_warning(found: dg.AssetCheckEvaluation) -> bool:
    return found.severity is dg.AssetCheckSeverity.WARN


def _checked(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> list[bool]:
    """Whether the last evaluations of a check passed, newest first."""
    history = instance.event_log_storage.get_asset_check_execution_history(
        key, limit=MOST_EVALUATIONS
    )
    return [one.status.value == "SUCCEEDED" for one in history]


def _defined(context: dg.RunStatusSensorContext, key: dg.AssetCheckKey) -> tuple[str, str]:
    """A check's description, and the team that is told; each empty where there is none."""
    repository = context.repository_def
    if repository is None or key not in repository.asset_graph.asset_check_keys:
        return "", ""
    check = repository.asset_graph.get(key)
    return check.description or "", str(check.metadata.get(OWNER, ""))


def _outcomes(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[bool]:
    """Whether this run and those of its job before it succeeded, newest first."""
    records = instance.get_run_records(
        dg.RunsFilter(job_name=run.job_name, statuses=ENDED), limit=MOST_COUNTED
    )
    runs = [record.dagster_run for record in records]
    ids = [one.run_id for one in runs]
    since = runs[ids.index(run.run_id) :] if run.run_id in ids else [run]
    return [one.status is dg.DagsterRunStatus.SUCCESS for one in since]


def _tell(log: logging.Logger, text: str, *, teams: Collection[str]) -> None:
    try:
        policy = network_policy(os.environ, load_settings(os.environ))
        with Transport(policy=policy) as transport:
            log.info(send_alert(text, teams=teams, environ=os.environ, poster=transport))
    except SyncError as error:
        log.warning(f"no alert sent: {error}")
