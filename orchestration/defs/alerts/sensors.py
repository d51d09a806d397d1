"""Sensors that send alerts: about failed runs, and about failed checks in successful runs."""

import logging
from collections.abc import Collection, Iterator

import dagster as dg

from orchestration.check_texts import OWNER, REMINDS
from orchestration.resources import AlertsResource
from sync.errors import SyncError
from sync.operations.alerts import failures_in_a_row, is_worth_an_alert

MOST_COUNTED = 2_000
"""Runs read to count consecutive failures: a week of them."""
MOST_EVALUATIONS = 300
"""Evaluations read per check: a day of them; each record is larger than that of a run."""
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dg.run_failure_sensor(
    name="a_run_failed",
    description=(
        "Posts which run failed and why to LTW_ALERT_URL (Slack, Mattermost, Teams), or to the URL "
        "of the team whose check stopped it, and passes it to LTW_ALERT_HOOK. Of consecutive "
        "failures, the 1st, 2nd, 4th, 8th and so on send an alert."
    ),
)
def a_run_failed(context: dg.RunFailureSensorContext, alerts: AlertsResource) -> None:
    """Send an alert about a failed run: names and the error's first line, never data."""
    run = context.dagster_run
    failures = failures_in_a_row(_outcomes(context.instance, run))
    if not is_worth_an_alert(failures):
        context.log.info(f"no alert sent: failure {failures} in a row, after earlier alerts")
        return
    lines = (context.failure_event.message or "no reason given").strip().splitlines()
    in_a_row = "" if failures == 1 else f", {failures} times in a row"
    culprits = [one for one in _failed_checks(context) if not _is_warning(one)]
    teams = {_defined(context, one.asset_check_key)[1] for one in culprits}
    _send(
        context.log,
        alerts,
        f"{run.job_name} failed{in_a_row} (run {run.run_id}): {lines[0][:300]}",
        teams=teams - {""},
    )


@dg.run_status_sensor(
    name="a_check_failed",
    run_status=dg.DagsterRunStatus.SUCCESS,
    description=(
        "Sends an alert for each check that failed in a run that succeeded: its meaning, owner "
        "and action. It goes to the owning team's URL if set, else where alerts of a_run_failed "
        "go; as often as those, but for a warning only once, when it starts. Alerts about a pause "
        "are repeated."
    ),
)
def a_check_failed(context: dg.RunStatusSensorContext, alerts: AlertsResource) -> None:
    """Send alerts about failed checks: names, texts of definitions and operators, never data."""
    run, instance = context.dagster_run, context.instance
    for found in _failed_checks(context):
        failures = failures_in_a_row(_checked(instance, found.asset_check_key))
        is_warning = _is_warning(found)
        about, team, reminds = _defined(context, found.asset_check_key)
        # Most warnings may last for days without getting worse: one alert at the start is enough.
        if not is_worth_an_alert(failures) or (is_warning and failures > 1 and not reminds):
            continue
        name = f"{found.check_name} of {found.asset_key.to_user_string()}"
        verb = "warns" if is_warning else "failed"
        in_a_row = "" if failures == 1 else f", {failures} times in a row"
        said = f"{found.description}. " if found.description else ""
        _send(
            context.log,
            alerts,
            f"check {name} {verb}{in_a_row} (run {run.run_id}). {said}{about}",
            teams={team} if team else set(),
        )


def _failed_checks(context: dg.RunStatusSensorContext) -> Iterator[dg.AssetCheckEvaluation]:
    """Evaluations of the run that did not pass, including warnings."""
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


def _defined(context: dg.RunStatusSensorContext, key: dg.AssetCheckKey) -> tuple[str, str, bool]:
    """A check's description and owner, each empty if there is none, and whether it repeats a
    warning."""
    repository = context.repository_def
    if repository is None or key not in repository.asset_graph.asset_check_keys:
        return "", "", False
    check = repository.asset_graph.get(key)
    owner, reminds = check.metadata.get(OWNER, ""), check.metadata.get(REMINDS, False)
    return check.description or "", str(owner), bool(reminds)


def _outcomes(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[bool]:
    """Whether this run and the earlier runs of its job succeeded, newest first."""
    records = instance.get_run_records(
        dg.RunsFilter(job_name=run.job_name, statuses=ENDED), limit=MOST_COUNTED
    )
    runs = [record.dagster_run for record in records]
    ids = [one.run_id for one in runs]
    since = runs[ids.index(run.run_id) :] if run.run_id in ids else [run]
    return [one.status is dg.DagsterRunStatus.SUCCESS for one in since]


def _send(
    log: logging.Logger, alerts: AlertsResource, text: str, *, teams: Collection[str]
) -> None:
    try:
        log.info(alerts.send(text, teams=teams))
    except SyncError as error:
        log.warning(f"no alert sent: {error}")
