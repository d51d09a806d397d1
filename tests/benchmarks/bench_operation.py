"""What an operator waits for: the demo, a sensor tick, a webhook, a page of a used instance.

Run one of them alone with ``-k demo``, ``-k tick``, ``-k webhook`` or ``-k page``.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
import pytest
from dagster_shared.record import copy

from sync.local.embedded.lifecycle import stop
from sync.local.job_runner import job_runner
from sync.local.receiver import running_receiver
from sync.local.sample_data import SampleSize
from sync.network import DEVELOPMENT_SETTING
from sync.raw import insert_rows
from sync.secrets import DIRECTORY_SETTING, SecretStore
from sync.settings import PROJECT_ROOT
from sync.warehouse import open_warehouse
from tests.support.arrivals import GRADES, Prepared, prepare
from tests.support.clockwork import STEPS
from tests.support.dev import Dev, dev_environment, served
from tests.support.measuring import p95
from tests.support.processes import LTW
from tests.support.waiting import wait_until

MATERIALIZATIONS = 10_000
RUNS = 2_000
ARRIVALS = 16
ARRIVAL_SECONDS = (3.0, 11.0)
"""Between two passes: 16 of them take about two minutes and meet every phase of the clocks."""
DEMO_BUDGET, TICK_BUDGET, WEBHOOK_BUDGET, PAGE_BUDGET = 60.0, 1.0, 60.0, 5.0
SELECTOR = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "learning-time-webhooks",
}
DRY_RUN = """
mutation ($selector: SensorSelector!, $cursor: String) {
  sensorDryRun(selectorData: $selector, cursor: $cursor) {
    __typename
    ... on DryRunInstigationTick { evaluationResult { cursor skipReason error { message } } }
  }
}
"""
START_SENSOR = """
mutation ($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { __typename } }
"""
START_SCHEDULE = """
mutation ($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) { __typename } }
"""
GRAPHQL_TIMES = """
return performance.getEntriesByType('resource')
  .filter((one) => one.name.includes('/graphql')).map((one) => one.duration)
"""


def test_demo() -> None:
    done = subprocess.run(
        [*LTW, "demo", "--json"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    seconds = json.loads(done.stdout)["seconds"]
    steps = re.findall(r"^done (.+?) ([\d.]+) s$", done.stderr, flags=re.MULTILINE)
    print(f"\ndemo {seconds:.1f} s: " + "; ".join(f"{text} {took}" for text, took in steps))
    assert seconds < DEMO_BUDGET


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dev, Prepared]]:
    """``make dev`` on an instance that has been used for months, with passes still to come."""
    directory = tmp_path_factory.mktemp("operation")
    environment = dev_environment(directory)
    port = int(environment["LTW_RECEIVER_PORT"])
    url = f"http://127.0.0.1:{port}"
    prepared = prepare(environment, SampleSize(learners=120), receiver_url=url)
    first = len(prepared.grades) // 2
    with open_warehouse(prepared.settings, purpose="load") as session:
        insert_rows(session, GRADES, prepared.grades[:first])
    del prepared.grades[:first]
    home = Path(environment["DAGSTER_HOME"])
    # In memory the ten thousand events take a minute, on a disk that syncs each of them, ten.
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch:
        filled = Path(scratch) / "dagster"
        shutil.copytree(home, filled)
        known = SecretStore({}, prepared.settings.home / "receiver_secrets")
        with running_receiver(secrets=known, port=port):
            own = {
                "DAGSTER_HOME": str(filled),
                DEVELOPMENT_SETTING: url.removeprefix("http://"),
                DIRECTORY_SETTING: str(prepared.settings.home / "secrets"),
                "WEBHOOKS_ACTIVATED_AT": prepared.begin.isoformat(),
            }
            with job_runner(environment | own, directory / "jobs.log") as jobs:
                jobs.run("learning_time_job")
                jobs.run("completion_webhooks_job")
        fill(filled)
        shutil.rmtree(home)
        shutil.copytree(filled, home)
    try:
        with served([*LTW, "dev"], directory, environment) as dev:
            yield dev, prepared
    finally:
        stop(prepared.settings)


def fill(home: Path) -> None:
    """Months of history: copies of the materializations and of the run that are there."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for key in STEPS:
            event = instance.get_latest_materialization_event(key)
            assert event is not None
            assert event.asset_materialization is not None
            for _ in range(-(-MATERIALIZATIONS // len(STEPS))):
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(key, metadata=event.asset_materialization.metadata)
                )
        (run, *_) = instance.get_runs(limit=1)
        for _ in range(RUNS):
            instance.add_run(copy(run, run_id=dg._core.utils.make_new_run_id()))  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]


def test_sensor_tick(world: tuple[Dev, Prepared]) -> None:
    """Through web server and code server, as the daemon asks; nothing is launched."""
    dev, _ = world
    selector = SELECTOR | {"sensorName": "completions_arrived"}
    times: dict[str, list[float]] = {"first": [], "idle": []}
    cursor = None
    for turn in range(11):
        started = time.perf_counter()
        answer = dev.graphql(DRY_RUN, selector=selector, cursor=cursor)["sensorDryRun"]
        times["idle" if turn else "first"].append(time.perf_counter() - started)
        result = answer["evaluationResult"]
        assert result["error"] is None, result
        cursor = result["cursor"]
    print(f"\nsensor tick: first {times['first'][0]:.2f} s, idle {median(times['idle']):.2f} s")
    assert median(times["idle"]) < TICK_BUDGET


def test_webhook_after_a_pass(world: tuple[Dev, Prepared]) -> None:
    """From the commit of the grade to the request at the receiver, sensor and schedules on."""
    dev, prepared = world
    sensor = SELECTOR | {"sensorName": "completions_arrived"}
    assert dev.graphql(START_SENSOR, selector=sensor)["startSensor"]["__typename"] == "Sensor"
    for name in ("completion_webhooks_every_5_minutes", "learning_time_every_30_minutes"):
        answer = dev.graphql(START_SCHEDULE, selector=SELECTOR | {"scheduleName": name})
        assert answer["startSchedule"]["__typename"] == "ScheduleStateResult", answer
    rng = random.Random(7)
    visible: dict[tuple[int, str], float] = {}
    with open_warehouse(prepared.settings, purpose="load") as session:
        for row in prepared.grades[:ARRIVALS]:
            insert_rows(session, GRADES, [row])
            visible[row["user_id"], row["course_id"]] = time.time()
            time.sleep(rng.uniform(*ARRIVAL_SECONDS))
        wait_until(
            lambda: all(is_settled(session, *key) for key in visible), seconds=120, every=1.0
        )
    arrived: dict[tuple[int, str], float] = {}
    for one in reversed(dev.webhooks):
        body: dict[str, Any] = json.loads(one["body"])
        key = (body["learner"]["user_id"], body["course"]["course_key"])
        if one["status"] == 200 and key in visible:
            arrived.setdefault(key, datetime.fromisoformat(one["received_at"]).timestamp())
    seconds = sorted(arrived[key] - visible[key] for key in arrived)
    print(
        f"\n{len(seconds)} webhooks of {len(visible)} passes: median {median(seconds):.0f} s, "
        f"p95 {p95(seconds):.0f} s, longest {seconds[-1]:.0f} s"
    )
    assert len(seconds) >= ARRIVALS // 2
    assert p95(seconds) < WEBHOOK_BUDGET


def is_settled(session: Any, user_id: int, courserun_key: str) -> bool:
    """Sent, or known to be kept; a pass that may not be reported is in no table of ours."""
    rows = session.rows(
        "select count(*) as n from analytics.marts.completed_enrollments as completed "
        "where completed.user_id = ? and completed.courserun_key = ? and not exists ("
        " select 1 from analytics.sync.webhook_outbox as outbox "
        " where outbox.user_id = completed.user_id "
        " and outbox.courserun_key = completed.courserun_key "
        " and (outbox.state in ('delivered', 'held', 'suppressed') or outbox.attempt_count > 0))",
        user_id,
        courserun_key,
    )
    return rows[0]["n"] == 0


def test_page_of_a_used_instance(world: tuple[Dev, Prepared]) -> None:
    from tests.support.browser import missing_programs, open_browser

    if missing := missing_programs():
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    dev, _ = world
    pages = {
        "asset": ("/assets/sync/enriched_completions", "enriched_share"),
        "asset, events": ("/assets/sync/completion_webhooks?view=events", "outbox_pending"),
        "runs": ("/runs", "completion_webhooks_job"),
        "lineage": ("/asset-groups/", "webhooks"),
    }
    print()
    slowest = 0.0
    with open_browser(dev.ui) as browser:
        for name, (path, text) in pages.items():
            shown, asked = [], []
            for _ in range(5):
                browser.open("about:blank")
                started = time.perf_counter()
                browser.open(path)
                browser.wait_for(text)
                shown.append(time.perf_counter() - started)
                asked += browser.script(GRAPHQL_TIMES)
            slowest = max(slowest, median(shown))
            print(
                f"{name}: shown after {median(shown):.1f} s, "
                f"GraphQL median {median(asked):.0f} ms, longest {max(asked):.0f} ms"
            )
    assert slowest < PAGE_BUDGET
