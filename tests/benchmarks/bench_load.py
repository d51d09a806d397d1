"""Half an hour of the daemon in six minutes: arrivals, an outage, a dead endpoint, one account.

The real daemon runs the real jobs by schedule and sensor, whose intervals are a fifth of normal
(``tests/support/accelerated.py``); everything else runs in real time.
"""

from __future__ import annotations

import socket
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from sync.http.network import DEVELOPMENT_SETTING
from sync.http.secrets import DIRECTORY_SETTING
from sync.local.embedded.lifecycle import ensure_running, free_port, stop
from sync.local.job_runner import job_runner
from sync.local.raw_tables import insert_rows
from sync.local.sample_data import SampleSize
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse
from sync.warehouse import RelationMissing, Warehouse, WarehouseUnavailable, open_warehouse
from tests.support.arrivals import ENDPOINTS, GRADES, Prepared, prepare
from tests.support.dev import dev_environment, served
from tests.support.processes import megabytes_of
from tests.support.receiver_process import ReceiverProcess, receiver_process
from tests.support.waiting import wait_until

SIZE = SampleSize(learners=6_000, customers=12, lines=20_000)
LASTS_SECONDS = 360.0
"""Half an hour by the clock of ``tests/support/accelerated.py``."""
FEED_SECONDS = 270.0
OUTAGE_AT, OUTAGE_SECONDS = 90.0, 25.0
DEATH_AT = 160.0
SETTLE_SECONDS = 200.0
PORTIONS = 100
DEAD_ENDPOINT = 1
GROWTH = 1.15
"""Allowed growth from the second to the last quarter: caches may fill, but nothing may leak."""
LOADED = """{ workspaceOrError { ... on Workspace { locationEntries {
  locationOrLoadError { __typename } } } } }"""
RUNS = """{ runsOrError { ... on Runs { results {
  jobName status tags { key value } startTime endTime } } } }"""


@dataclass
class Watch:
    """Memory of the long-lived processes while the load runs, in MB by role."""

    samples: dict[str, list[float]] = field(default_factory=dict)

    def look(self, directory: Path) -> None:
        for role, mark in {"daemon": "dagster._daemon", "code server": "dagster api grpc"}.items():
            found = megabytes_of(directory, mark)
            if found:
                self.samples.setdefault(role, []).append(max(found))

    def quarters(self, role: str) -> tuple[float, float, float]:
        """Medians of the second and the last quarter, and the peak."""
        values = self.samples[role]
        step = len(values) // 4
        return median(values[step : 2 * step]), median(values[-step:]), max(values)


def test_half_an_hour_of_the_daemon(tmp_path: Path) -> None:
    closed = free_port()
    with receiver_process() as receiver:
        environment = dev_environment(
            tmp_path,
            **{
                DEVELOPMENT_SETTING: f"{receiver.host_port},127.0.0.1:{closed}",
                "ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT": "true",
                "PYTHONPATH": str(PROJECT_ROOT),
            },
        )
        world = prepare(environment, SIZE, receiver_url=receiver.url(""))
        settings = world.settings
        environment |= {
            DIRECTORY_SETTING: str(settings.home / "secrets"),
            "WEBHOOKS_ACTIVATED_AT": world.begin.isoformat(),
        }
        with job_runner(environment, tmp_path / "jobs.log") as jobs:
            jobs.run("learning_time_job")
        command = [str(Path(sys.executable).with_name("dagster")), "dev"]
        command += ["-m", "tests.support.accelerated", "--port", environment["LTW_DAGSTER_PORT"]]
        watch = Watch()
        try:
            with served(command, tmp_path, environment) as dev:
                found = dev.graphql(LOADED)["workspaceOrError"]["locationEntries"]
                assert [one["locationOrLoadError"]["__typename"] for one in found] == [
                    "RepositoryLocation"
                ], dev.log.read_text()
                started = time.monotonic()
                feed(world, watch, tmp_path, dead_url=f"http://127.0.0.1:{closed}/hooks/dead")
                settle(world, watch, tmp_path, until=started + LASTS_SECONDS)
                seconds = time.monotonic() - started
                runs = dev.graphql(RUNS)["runsOrError"]["results"]
            judge(world, receiver, watch, runs, seconds)
        finally:
            stop(settings)


def feed(world: Prepared, watch: Watch, directory: Path, *, dead_url: str) -> None:
    """Completions arrive in batches; the warehouse fails temporarily, an endpoint permanently."""
    settings, grades = world.settings, world.grades
    size = -(-len(grades) // PORTIONS)
    waiting = [grades[at : at + size] for at in range(0, len(grades), size)]
    started = time.monotonic()
    todo = {"outage": OUTAGE_AT, "death": DEATH_AT}
    while waiting:
        now = time.monotonic() - started
        due = int(PORTIONS * min(1.0, now / FEED_SECONDS)) - (PORTIONS - len(waiting))
        if now >= todo.get("outage", now + 1):
            del todo["outage"]
            with outage(settings):
                time.sleep(OUTAGE_SECONDS)
        with open_warehouse(settings, purpose="load") as session:
            for portion in waiting[: max(0, due)]:
                insert_rows(session, GRADES, portion)
            waiting = waiting[max(0, due) :]
            if now >= todo.get("death", now + 1):
                del todo["death"]
                session.execute(
                    f"update {session.raw_relation('enterprise', ENDPOINTS)} "
                    "set webhook_url = ?, modified = sysdate() where id = ?",
                    dead_url,
                    DEAD_ENDPOINT,
                )
        watch.look(directory)
        time.sleep(2)


@contextmanager
def outage(settings: EmbeddedWarehouse) -> Iterator[None]:
    """The warehouse is down and cannot be restarted, because its port is in use."""
    stop(settings)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", settings.port))
        yield
    ensure_running(settings)


def counts(session: Warehouse, bad: Collection[int]) -> dict[str, int]:
    """Events by state; those of endpoints out of order, and those a run works on, apart."""
    rows = session.rows(
        "select endpoint_id, state, lease_owner is not null as is_leased, count(*) as n "
        "from analytics.sync.webhook_outbox group by all"
    )
    found: Counter[str] = Counter()
    for row in rows:
        what = row["state"]
        if row["endpoint_id"] in bad:
            what += " (bad endpoint)"
        elif row["is_leased"]:
            what += " (leased)"
        found[what] += int(row["n"])
    return dict(found)


def settle(world: Prepared, watch: Watch, directory: Path, *, until: float) -> None:
    """Wait until the half hour is over and nothing is left to do for working endpoints."""

    def is_done() -> bool:
        watch.look(directory)
        try:
            with open_warehouse(world.settings, purpose="load") as session:
                undetected = session.rows(
                    "select coalesce(sum(undetected), 0) as n "
                    "from analytics.marts.delivery_reconciliation"
                )[0]["n"]
                found = counts(session, {DEAD_ENDPOINT, *world.failing})
        except (WarehouseUnavailable, RelationMissing):
            return False
        is_working = any(found.get(one) for one in ("awaiting", "pending", "pending (leased)"))
        return not undetected and not is_working and time.monotonic() >= until

    wait_until(is_done, seconds=SETTLE_SECONDS, every=2.0)


def judge(
    world: Prepared,
    receiver: ReceiverProcess,
    watch: Watch,
    runs: Sequence[dict[str, Any]],
    seconds: float,
) -> None:
    with open_warehouse(world.settings, purpose="load") as session:
        unbalanced = session.rows(
            "select * from analytics.marts.delivery_reconciliation where not is_balanced"
        )
        found = counts(session, {DEAD_ENDPOINT, *world.failing})
        expected = session.rows("select count(*) as n from analytics.marts.completed_enrollments")[
            0
        ]["n"]
        delivered = {
            row["webhook_id"]
            for row in session.rows(
                "select webhook_id from analytics.marts.webhook_deliveries "
                "where state = 'delivered'"
            )
        }
        reasons = session.rows(
            "select state, state_reason, count(*) as n from analytics.marts.webhook_deliveries "
            "where endpoint_id = ? group by all",
            DEAD_ENDPOINT,
        )
    taken = Counter(one.webhook_id for one in receiver.received() if one.status == 200)
    by_job = Counter((run["jobName"], run["status"]) for run in runs)
    print(f"\n{expected:,} completions in {seconds:.0f} s: {found}")
    print(f"runs: {dict(by_job)}; endpoint that died: {reasons}")
    for role in watch.samples:
        early, late, peak = watch.quarters(role)
        print(
            f"{role}: {early:.0f} MB in the second quarter, {late:.0f} in the last, peak {peak:.0f}"
        )
    assert unbalanced == []
    assert sum(found.values()) == expected
    assert set(taken) == delivered
    assert set(taken.values()) == {1}, "each once"
    assert {row["state"] for row in reasons} <= {"delivered", "pending", "dead", "held"}
    for role in watch.samples:
        early, late, _ = watch.quarters(role)
        assert late <= early * GROWTH, role
