"""325,099 real MOOC events through the whole system, against numbers computed elsewhere.

``load-logs``, the real dbt build, the real Dagster job and a real receiver take part. The
reference was computed twice outside this project, with integers and with window functions.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg
import pytest
from standardwebhooks import Webhook

from sync.http.network import DEVELOPMENT_SETTING
from sync.ledger.tables import ensure_ledger
from sync.local.raw_tables import create_raw_tables, insert_rows
from sync.local.tracking_logs import Loaded, load_logs
from sync.warehouse import Warehouse, open_warehouse
from tests.support import kdd
from tests.support.dbt import Dbt
from tests.support.definitions import load_definitions, run_config
from tests.support.receiver import Receiver, receiver
from tests.support.scenarios import Scenarios

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(not kdd.KDD.is_dir(), reason="the KDD Cup data is not here"),
]

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@dataclass
class Proof:
    """The loaded and built warehouse, and the duration of each step."""

    warehouse: Warehouse
    target: Receiver
    learners: list[kdd.Enrollment]
    last_events: dict[int, datetime] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[step] = time.monotonic() - started


@pytest.fixture(scope="module")
def proof(
    scenarios: Scenarios, tmp_path_factory: pytest.TempPathFactory, dbt: Dbt
) -> Iterator[Proof]:
    """All events loaded and the models built, without completions yet."""
    scenarios.stand("nothing")
    with open_warehouse(scenarios.settings, purpose="tests") as warehouse, receiver() as target:
        one = Proof(warehouse, target, kdd.enrollments())
        with one.timed("convert"):
            paths, one.last_events = kdd.write_logs(tmp_path_factory.mktemp("logs"), seed=7)
        with one.timed("load"):
            ensure_ledger(warehouse)
            create_raw_tables(warehouse)
            outcomes = load_logs(warehouse, paths, progress=lambda _: None)
            for table, rows in kdd.replica(one.learners, webhook_url=f"{target.url}/in").items():
                insert_rows(warehouse, table, rows)
        assert sum(each.lines for each in outcomes if isinstance(each, Loaded)) == 325_100
        with one.timed("dbt build"):
            dbt("build")
        yield one
        print("\n" + ", ".join(f"{step} {span:.1f} s" for step, span in one.seconds.items()))


def test_every_event_counts_as_learning_and_none_as_a_copy(proof: Proof) -> None:
    counts = proof.warehouse.rows(
        "select outcome, sum(line_count) as n from analytics.marts.tracking_line_counts "
        "where line_count > 0 group by outcome"
    )
    assert {row["outcome"]: int(row["n"]) for row in counts} == {"learning": 325_099, "dropped": 1}


def test_learning_time_of_every_enrollment_equals_the_reference(proof: Proof) -> None:
    rows = proof.warehouse.rows(
        "select user_id, courserun_key, sum(learning_time_seconds) as seconds "
        "from analytics.marts.learning_time group by user_id, courserun_key"
    )
    found = {(row["user_id"], row["courserun_key"]): int(row["seconds"]) for row in rows}
    reference = {
        (int(row["enrollment_id"]), kdd.courserun_key(row["course_id"])): int(
            row["learning_time_seconds"]
        )
        for row in kdd.read("reference_enrollment")
    }
    assert len(reference) == 10_558
    assert sum(reference.values()) == 18_578_429
    assert found == {key: seconds for key, seconds in reference.items() if seconds > 0}


def test_learning_time_of_every_day_equals_the_reference(proof: Proof) -> None:
    """The intermediate model keeps days of 0 s, which the mart omits."""
    rows = proof.warehouse.rows(
        "select user_id, activity_date, learning_time_seconds, event_count "
        "from analytics.intermediate.int_learning_time_daily"
    )
    found = {
        (row["user_id"], str(row["activity_date"])): (
            int(row["learning_time_seconds"]),
            int(row["event_count"]),
        )
        for row in rows
    }
    reference = {
        (int(row["enrollment_id"]), row["date"]): (
            int(row["seconds_split_midnight"]),
            int(row["n_events"]),
        )
        for row in kdd.read("reference_enrollment_day")
    }
    assert len(reference) == 20_085
    assert found == reference
    mart = proof.warehouse.rows("select count(*) as n from analytics.marts.learning_time")
    assert mart == [{"n": 15_398}]


def test_sessions_equal_the_reference(proof: Proof) -> None:
    rows = proof.warehouse.rows(
        "select user_id, sum(session_count) as n "
        "from analytics.intermediate.int_learning_time_daily group by user_id"
    )
    found = {row["user_id"]: int(row["n"]) for row in rows}
    reference = {
        int(row["enrollment_id"]): int(row["session_count"])
        for row in kdd.read("reference_enrollment")
    }
    assert sum(reference.values()) == 26_715
    assert found == reference


def test_completions_are_delivered_once_each_with_the_reference_number(
    proof: Proof, dbt: Dbt, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = kdd.passes(proof.learners, proof.last_events)
    with proof.timed("rebuild"):
        insert_rows(proof.warehouse, "grades_persistentcoursegrade", passes)
        dbt("build", "--select", "completion_learning_time")
    monkeypatch.setenv(DEVELOPMENT_SETTING, proof.target.host_port)
    monkeypatch.setenv("LTW_SECRET_WEBHOOK_SIGNING_1", SECRET)
    with proof.timed("definitions"):
        job = load_definitions(dbt).resolve_job_def("completion_webhooks_job")
    config = run_config(
        detection={"activated_at": "2013-01-01T00:00:00Z", "mass_send_limit": 975},
        enrichment={"enable_webhook_learning_time_enrichment": True},
    )
    with proof.timed("deliver"), dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(run_config=config, instance=instance).success
    with proof.timed("deliver again"), dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(
            run_config=config,
            instance=instance,
            asset_selection=[dg.AssetKey(["sync", name]) for name in STEPS],
        ).success

    bodies = [json.loads(one.body) for one in proof.target.received]
    sent = {body["learner"]["user_id"]: body["learning_time"]["total_seconds"] for body in bodies}
    completed = {one.user_id for one in proof.learners if one.has_completed}
    reference = {
        int(row["enrollment_id"]): int(row["learning_time_seconds"])
        for row in kdd.read("reference_enrollment")
    }
    assert len(bodies) == len(completed) == 975
    assert sent == {user_id: reference[user_id] for user_id in completed}
    assert 0 in sent.values(), "a learner with events but no time is sent with 0, not without"
    assert len({one.webhook_id for one in proof.target.received}) == 975
    for one in proof.target.received:
        Webhook(SECRET).verify(one.body.decode(), one.headers)
    unbalanced = proof.warehouse.rows(
        "select * from analytics.marts.delivery_reconciliation where not is_balanced"
    )
    assert unbalanced == []


STEPS = ("newly_completed_enrollments", "enriched_completions", "completion_webhooks")
