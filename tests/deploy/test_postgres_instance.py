"""An instance as in production: PostgreSQL, code server, daemon, web server, concurrent runs.

It uses ``deploy/dagster.yaml`` and starts the commands of ``deploy/compose.yaml``.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from orchestration.defs.webhooks.sensor import completions_arrived
from orchestration.resources import DialResource, WarehouseResource
from sync.delivery.scheduler import Limits
from sync.local.raw_tables import create_raw_tables
from sync.warehouse import Warehouse, open_warehouse
from tests.support.dbt import Dbt
from tests.support.definitions import NEW, WEBHOOKS, run_config
from tests.support.delivery import ACTIVATED_AT, SECRET, audit, complete, delivered, seed
from tests.support.instance import RunningInstance, running_instance
from tests.support.postgres import Postgres, postgres_programs, running_postgres
from tests.support.receiver_process import ReceiverProcess, receiver_process
from tests.support.scenarios import Scenarios
from tests.support.waiting import wait_until

PROGRAMS = postgres_programs()
pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(
        PROGRAMS is None, reason="no PostgreSQL on this machine: apt-get install postgresql"
    ),
]
ENDPOINTS = 4
PATIENCE = 600.0
"""Timeout in seconds against hangs; a busy machine has taken a hundred for a run worker."""
EVERY = 0.5
"""Seconds between polls: each opens a connection to the database."""
POOL = "webhook_outbox"
AT_ONCE = 8
"""Maximum requests in flight, which a crash may repeat."""
BATCH = 20
CONFIG = run_config(
    detection={"activated_at": ACTIVATED_AT.isoformat()},
    delivery={
        "batch_size": BATCH,
        "threads": AT_ONCE,
        "requests_per_endpoint": 2,
        "linger_seconds": 0,
    },
)


@dataclass(frozen=True)
class Production:
    """All running services."""

    dagster: RunningInstance
    postgres: Postgres
    warehouse: Warehouse
    receiver: ReceiverProcess


@pytest.fixture(scope="module")
def production(
    scenarios: Scenarios,
    dbt: Dbt,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Production]:
    assert PROGRAMS is not None
    home = tmp_path_factory.mktemp("production")
    scenarios.stand("nothing")
    with (
        running_postgres(PROGRAMS, database="dagster") as postgres,
        receiver_process() as receiver,
        open_warehouse(scenarios.settings, purpose="tests") as warehouse,
        pytest.MonkeyPatch.context() as patch,
    ):
        # 100 ms per response: 80 a second, so that runs overlap and can be stopped half-way.
        urls = [receiver.url(f"/wait/100/{n}") for n in range(1, ENDPOINTS + 1)]
        # Timeouts are sent again, and a busy machine is slow.
        seed(warehouse, urls, timeout_seconds=60)
        for name, value in postgres.environment.items():
            patch.setenv(name, value)
        own = {
            "LTW_LOG_FORMAT": "json",
            "LTW_JOURNAL_DIR": str(home / "journal"),
            "LTW_DEVELOPMENT_TARGETS": receiver.host_port,
            "DBT_TARGET_PATH": str(dbt.prepare(home / "dbt")),
            **{f"LTW_SECRET_WEBHOOK_SIGNING_{n}": SECRET for n in range(1, ENDPOINTS + 1)},
        }
        with running_instance(home / "dagster", os.environ | own) as dagster:
            yield Production(dagster, postgres, warehouse, receiver)


def received(production: Production, ids: set[str]) -> Counter[str]:
    """How often each of these webhooks arrived."""
    return Counter(
        one.webhook_id for one in production.receiver.received() if one.webhook_id in ids
    )


def interval(production: Production, run_id: str, step: str) -> tuple[float, float]:
    """When a step of a run started and ended."""
    (stats,) = production.dagster.instance.get_run_step_stats(run_id, [step])
    assert stats.start_time is not None
    assert stats.end_time is not None
    return stats.start_time, stats.end_time


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def test_the_instance_keeps_everything_in_postgresql(production: Production) -> None:
    tables = production.postgres.psql("select tablename from pg_tables where schemaname = 'public'")
    assert {"runs", "event_logs", "instigators", "concurrency_slots"} <= set(tables.splitlines())
    home = Path(production.dagster.environment["DAGSTER_HOME"])
    assert list(home.rglob("*.db")) == []


def test_two_runs_at_once_wait_for_their_pool_and_send_each_webhook_once(
    production: Production,
) -> None:
    ids = complete(production.warehouse, range(1, 801), endpoints=ENDPOINTS)
    events = production.dagster.instance.event_log_storage
    events.initialize_concurrency_limit_to_default(POOL)
    assert events.get_concurrency_info(POOL).slot_count == 1
    assert events.claim_concurrency_slot(POOL, "another-run", "its-step").is_claimed
    first, second = production.dagster.launch(CONFIG), production.dagster.launch(CONFIG)
    try:
        wait_until(
            lambda: events.get_concurrency_info(POOL).pending_step_count == 2,
            seconds=PATIENCE,
            every=EVERY,
        )
        assert received(production, ids) == {}
    finally:
        events.free_concurrency_slots_for_run("another-run")
    production.dagster.finish(first, second)
    assert received(production, ids) == dict.fromkeys(ids, 1)
    rows = production.warehouse.rows(
        "select run_id, count(*) as n from analytics.sync.webhook_attempts group by run_id"
    )
    assert {row["run_id"] for row in rows} == {first, second}, "both had a share"
    sent = [interval(production, one, WEBHOOKS) for one in (first, second)]
    assert overlap(*sent)
    detected = [interval(production, one, NEW) for one in (first, second)]
    assert not overlap(*detected)
    assert audit(production.warehouse, is_at_rest=True) == []


def test_sentences_and_events_of_a_run_are_json_lines(production: Production) -> None:
    (first,) = production.dagster.instance.get_runs(limit=1)
    text = (production.dagster.logs / "code.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"time"')]
    own = [line for line in lines if line.get("run_id") == first.run_id]
    assert any(line.get("step") == WEBHOOKS and "batch of" in line["message"] for line in own)
    assert any(line.get("event") == "attempts" and line["count"] > 0 for line in own)


def test_a_terminated_run_leaves_no_lease_and_the_retry_of_a_killed_one_does_the_rest(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is terminated in the UI. The sensor requests the next, whose process is killed."""
    monkeypatch.setattr("sync.operations.changes.REPEAT_AFTER", timedelta(0))
    create_raw_tables(production.warehouse)
    ids = complete(production.warehouse, range(2_001, 3_201), endpoints=ENDPOINTS)

    def wait_for_more_than(number: int) -> None:
        wait_until(lambda: len(received(production, ids)) > number, seconds=PATIENCE, every=EVERY)

    stopped = production.dagster.launch(CONFIG)
    wait_for_more_than(20)
    assert production.dagster.terminate(stopped) is dg.DagsterRunStatus.CANCELED
    sent = received(production, ids)
    assert 20 < len(sent) < len(ids) - 100
    written = delivered(production.warehouse) & ids
    assert written == sent.keys(), production.dagster.said(stopped)
    assert audit(production.warehouse, is_at_rest=True) == []
    assert tick(production).run_requests, "what is left is still to be done"

    killed = production.dagster.launch(CONFIG)
    wait_for_more_than(len(sent) + 60)
    os.kill(process_of(production, killed), signal.SIGKILL)
    # The dead run's webhooks are under its lease, which is longer than a test can wait.
    held = production.warehouse.execute(
        """
        update analytics.sync.webhook_outbox set lease_expires_at = sysdate()
        where lease_owner is not null
        """
    )
    assert 0 < held <= 3 * BATCH, "in flight, what still waits of two batches, and the next batch"
    wait_until(
        lambda: production.dagster.status(killed) is dg.DagsterRunStatus.FAILURE,
        seconds=PATIENCE,
        every=EVERY,
    )
    wait_until(lambda: bool(retries_of(production, killed)), seconds=PATIENCE, every=EVERY)
    (retry,) = retries_of(production, killed)
    production.dagster.finish(retry)
    found = received(production, ids)
    assert found.keys() == ids
    assert {found[one] for one in sent} == {1}, "the end of the terminated run is no loss"
    unknown = AT_ONCE + Limits(threads=AT_ONCE).unwritten
    assert sum(found.values()) - len(ids) <= unknown, "in flight, or on the way to the disk"
    bodies = {(one.webhook_id, one.digest) for one in production.receiver.received()}
    assert len({webhook_id for webhook_id, _ in bodies}) == len(bodies), "the same bytes"
    assert audit(production.warehouse, is_at_rest=True) == []
    assert "nothing has changed" in (tick(production).skip_message or "")


def test_a_run_that_died_in_a_pool_gives_its_place_back(production: Production) -> None:
    events = production.dagster.instance.event_log_storage
    dead = [
        one.run_id
        for one in production.dagster.instance.get_runs(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
        )
    ]
    assert events.claim_concurrency_slot(POOL, dead[0], NEW).is_claimed
    wait_until(
        lambda: not events.get_concurrency_info(POOL).claimed_slots, seconds=PATIENCE, every=EVERY
    )


def tick(production: Production) -> SensorExecutionData:
    """The result of the sensor without its cursor, in the next slot of the schedule."""
    context = dg.build_sensor_context(
        instance=production.dagster.instance,
        resources={"warehouse": WarehouseResource(), "dial": DialResource()},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sync.operations.changes.next_slot", lambda at, dial: at)
        return completions_arrived.evaluate_tick(context)


def process_of(production: Production, run_id: str) -> int:
    """The process of a run, from its start event."""
    texts = [entry.message for entry in production.dagster.instance.all_logs(run_id)]
    (pid,) = {int(text.rsplit("pid: ", 1)[1].rstrip(").")) for text in texts if "(pid: " in text}
    return pid


def retries_of(production: Production, run_id: str) -> list[str]:
    found = production.dagster.instance.get_runs(
        dg.RunsFilter(tags={"dagster/parent_run_id": run_id})
    )
    return [one.run_id for one in found]


def test_each_service_is_healthy_by_the_check_of_the_compose_file(production: Production) -> None:
    assert production.dagster.is_healthy("code")
    assert production.dagster.is_healthy("webserver")
    # Each daemon's first heartbeat takes up to half a minute, so this test is last.
    wait_until(lambda: production.dagster.is_healthy("daemon"), seconds=PATIENCE, every=EVERY)
