"""Low latency at no cost while idle, and a voice when a run fails. Both start stopped."""

import hashlib
import os
from datetime import UTC, datetime

import dagster as dg

from orchestration.config import EnrichmentConfig
from orchestration.resources import WarehouseResource
from sync.alerts import send_alert
from sync.changes import Seen, look
from sync.errors import SyncError
from sync.network import network_policy
from sync.settings import load_settings
from sync.transport import Transport
from sync.warehouse import RelationMissing

LOOK_EVERY_SECONDS = 30
ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.sensor(
    name="completions_arrived",
    job_name="completion_webhooks_job",
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
    running = context.instance.get_run_records(
        dg.RunsFilter(job_name="completion_webhooks_job", statuses=ACTIVE), limit=1
    )
    if running:
        return dg.SkipReason(f"run {running[0].dagster_run.run_id} is still delivering")
    before = Seen.from_cursor(context.cursor)
    try:
        with warehouse.glance(purpose="sensor") as session:
            found = look(
                session,
                before,
                now=datetime.now(UTC).replace(tzinfo=None),
                max_wait=EnrichmentConfig().policy().max_wait,
            )
    except RelationMissing as error:
        return dg.SkipReason(f"not set up yet: {error}")
    if found.reason is None:
        return dg.SensorResult(
            cursor=found.seen.cursor(),
            skip_reason=dg.SkipReason(f"nothing has changed; next due: {found.seen.due_at}"),
        )
    key = hashlib.sha256(found.seen.cursor().encode()).hexdigest()[:32]
    return dg.SensorResult(
        cursor=found.seen.cursor(),
        run_requests=[dg.RunRequest(run_key=key, tags={"reason": found.reason})],
    )


@dg.run_failure_sensor(
    name="a_run_failed",
    description="Posts which run failed and why to LTW_ALERT_URL (Slack, Mattermost or Teams).",
)
def a_run_failed(context: dg.RunFailureSensorContext) -> None:
    """Tell people of a failed run: names and the error's first line, never data."""
    run = context.dagster_run
    lines = (context.failure_event.message or "no reason given").strip().splitlines()
    first_line = lines[0][:300]
    text = f"{run.job_name} failed (run {run.run_id}): {first_line}"
    try:
        policy = network_policy(os.environ, load_settings(os.environ))
        with Transport(policy=policy) as transport:
            context.log.info(send_alert(text, environ=os.environ, poster=transport))
    except SyncError as error:
        context.log.warning(f"no alert sent: {error}")
