"""The most important latency: from a completion in the warehouse to the customer's 2xx.

``make dev`` with its sensor and schedules on, and completions arriving at random times.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import pytest

from sync.local.raw_tables import insert_rows
from sync.local.sample_data import SampleSize
from sync.warehouse import Warehouse, open_warehouse
from tests.support.arrivals import GRADES, Prepared
from tests.support.dev import Dev
from tests.support.measuring import p95
from tests.support.used_instance import used_instance
from tests.support.waiting import wait_until

SIZE = SampleSize(learners=160)
"""60 completions are still to come."""
GAP_SECONDS = 3.5
"""Mean of the random time between two completions: 60 of them take 3.5 minutes."""
LEAST = 40
BUDGET = 60.0
SELECTOR = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "learning-time-webhooks",
}
START_SENSOR = """
mutation ($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { __typename } }
"""
START_SCHEDULE = """
mutation ($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) { __typename } }
"""
RUNS = """
{ runsOrError(filter: {pipelineName: "completion_webhooks_job"}, limit: 200) {
    ... on Runs { results { runId creationTime startTime endTime } } } }
"""
Key = tuple[int, str]
"""Learner and course run."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dev, Prepared]]:
    directory = tmp_path_factory.mktemp("arrival")
    with used_instance(directory, size=SIZE, materializations=0, runs=0) as made:
        yield made


@dataclass(frozen=True)
class Way:
    """Times of one completion's stages, in seconds since 1970."""

    visible: float
    run_created: float
    run_started: float
    recorded: float
    received: float


def test_webhook_after_a_pass(world: tuple[Dev, Prepared]) -> None:
    """From the commit of the grade to the request that gets a 2xx."""
    dev, prepared = world
    switch_on(dev)
    rng = random.Random(7)
    visible: dict[Key, float] = {}
    with open_warehouse(prepared.settings, purpose="load") as session:
        for row in prepared.grades:
            insert_rows(session, GRADES, [row])
            visible[row["user_id"], row["course_id"]] = time.time()
            time.sleep(rng.expovariate(1 / GAP_SECONDS))
        wait_until(lambda: not undecided(session, visible), seconds=180, every=1.0)
        rows = outbox(session, visible)
    outcome = Counter((row["state"], row["state_reason"]) for row in rows.values())
    arrived = first_2xx(dev, visible)
    delivered = {key for key, row in rows.items() if row["state"] == "delivered"}
    print(f"\n{len(visible)} passes: {dict(outcome)}")
    # Each completion is accounted for: it was received, or the ledger shows why not.
    assert set(rows) == set(visible)
    assert delivered == set(arrived)
    assert {state for state, _ in outcome} <= {"delivered", "held"}, outcome
    assert len(arrived) >= LEAST
    ways = follow(dev, visible, rows, arrived)
    seconds = [way.received - way.visible for way in ways]
    print(
        f"{len(seconds)} webhooks: median {median(seconds):.0f} s, p95 {p95(seconds):.0f} s, "
        f"longest {max(seconds):.0f} s"
    )
    for name, parts in {
        "until a run is asked for": [way.run_created - way.visible for way in ways],
        "until it has started": [way.run_started - way.run_created for way in ways],
        "until the completion is recorded": [way.recorded - way.run_started for way in ways],
        "until the receiver has it": [way.received - way.recorded for way in ways],
    }.items():
        print(f"  {name}: median {median(parts):.1f} s, p95 {p95(parts):.1f} s")
    lasted = [one["endTime"] - one["startTime"] for one in runs(dev).values() if one["endTime"]]
    print(f"{len(lasted)} runs of the job: median {median(lasted):.0f} s, {max(lasted):.0f} s")
    assert p95(seconds) < BUDGET


def switch_on(dev: Dev) -> None:
    """Start the sensor and the schedules, which are off by default."""
    sensor = SELECTOR | {"sensorName": "completions_arrived"}
    assert dev.graphql(START_SENSOR, selector=sensor)["startSensor"]["__typename"] == "Sensor"
    for name in ("completion_webhooks_hourly", "learning_time_every_30_minutes"):
        answer = dev.graphql(START_SCHEDULE, selector=SELECTOR | {"scheduleName": name})
        assert answer["startSchedule"]["__typename"] == "ScheduleStateResult", answer


def outbox(session: Warehouse, keys: Mapping[Key, float]) -> dict[Key, dict[str, Any]]:
    """The ledger's rows of these completions."""
    rows = session.rows(
        "select user_id, courserun_key, state, state_reason, recorded_at, recorded_run_id "
        "from analytics.sync.webhook_outbox where event_type = 'course_completion'"
    )
    found = {(row["user_id"], row["courserun_key"]): row for row in rows}
    return {key: row for key, row in found.items() if key in keys}


def undecided(session: Warehouse, keys: Mapping[Key, float]) -> bool:
    """Whether any of them is not in the ledger yet, or waits there."""
    rows = outbox(session, keys)
    return len(rows) < len(keys) or any(
        row["state"] in ("awaiting", "pending") for row in rows.values()
    )


def first_2xx(dev: Dev, keys: Mapping[Key, float]) -> dict[Key, float]:
    """When the receiver first accepted each completion's webhook."""
    arrived: dict[Key, float] = {}
    for one in reversed(dev.webhooks):
        body: dict[str, Any] = json.loads(one["body"])
        key = (body["learner"]["user_id"], body["course"]["course_key"])
        if one["status"] == 200 and key in keys:
            arrived.setdefault(key, datetime.fromisoformat(one["received_at"]).timestamp())
    return arrived


def runs(dev: Dev) -> dict[str, dict[str, Any]]:
    return {one["runId"]: one for one in dev.graphql(RUNS)["runsOrError"]["results"]}


def follow(
    dev: Dev,
    visible: Mapping[Key, float],
    rows: Mapping[Key, Mapping[str, Any]],
    arrived: Mapping[Key, float],
) -> list[Way]:
    """The times of each delivered completion."""
    by_id = runs(dev)
    ways = []
    for key, received in arrived.items():
        run = by_id[rows[key]["recorded_run_id"]]
        recorded = rows[key]["recorded_at"].replace(tzinfo=UTC).timestamp()
        ways.append(Way(visible[key], run["creationTime"], run["startTime"], recorded, received))
    return ways
