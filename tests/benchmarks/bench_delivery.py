"""Speed of the delivery engine with signing, guard, journal and ledger on.

The receiver is a process of its own and the warehouse another; both share this machine's cores
with the engine, so read ratios, not absolutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from sync.learning_time import CompletionKey, Found, LearningTimeClient
from sync.sender import DispatchLimits
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse
from tests.support.completions import COURSE_RUN
from tests.support.delivery import PASSED_AT, Run, all_steps, complete, enterprise, seed
from tests.support.marts import LEARNING_TIME_COLUMNS, create_table
from tests.support.measuring import Spent, bare_requests, measured, medians, p95
from tests.support.receiver_process import ReceiverProcess, receiver_process
from tests.support.side_by_side import deliver_side_by_side

THREADS = 64
ENDPOINTS = 16
LIMITS = DispatchLimits(
    threads=THREADS,
    per_endpoint=THREADS // ENDPOINTS,
    batch_size=2_000,
    time_budget=timedelta(minutes=10),
)
TIMES = 3
RATE = {"max_requests_per_minute": 600_000, "timeout_seconds": 10}
BODY = b"x" * 520


@pytest.fixture(scope="module")
def target() -> Iterator[ReceiverProcess]:
    with receiver_process() as running:
        yield running


class Bench:
    """One ledger that fills up from measurement to measurement."""

    def __init__(self, warehouse: Warehouse, target: ReceiverProcess, journals: Path) -> None:
        self.warehouse = warehouse
        self.target = target
        self.users = 0
        self.run = Run(
            host_ports=target.host_port, journals=journals, endpoints=ENDPOINTS, limits=LIMITS
        )

    def urls(self, latency_ms: int) -> list[str]:
        kind = f"wait/{latency_ms}" if latency_ms else "ok"
        return [self.target.url(f"/{kind}/{n}") for n in range(ENDPOINTS)]

    def freeze(self, webhooks: int) -> None:
        complete(
            self.warehouse,
            range(self.users + 1, self.users + webhooks + 1),
            endpoints=ENDPOINTS,
        )
        self.users += webhooks
        self.run.detect_and_freeze(self.warehouse)

    def send(self, webhooks: int) -> Spent:
        """Send so many, all of which must be delivered."""
        self.freeze(webhooks)
        with measured() as spent:
            report = self.run.send(self.warehouse)
        assert report.outcomes == {"delivered": webhooks}
        return spent


@pytest.fixture
def bench(warehouse: Warehouse, target: ReceiverProcess, tmp_path: Path) -> Bench:
    return Bench(warehouse, target, tmp_path)


@pytest.mark.parametrize(("latency_ms", "webhooks"), [(0, 2_000), (50, 4_000), (100, 4_000)])
def test_sends_a_second(bench: Bench, latency_ms: int, webhooks: int) -> None:
    urls = bench.urls(latency_ms)
    seed(bench.warehouse, urls, **RATE)
    bench.send(200)

    def run() -> list[float]:
        bare = bare_requests(urls, BODY, threads=THREADS, total=webhooks)
        ours = bench.send(webhooks)
        return [
            webhooks / ours.seconds,
            webhooks / (ours.seconds - ours.in_warehouse),
            webhooks / bare.seconds,
            ours.cpu / webhooks * 1e3,
            bare.cpu / webhooks * 1e3,
            ours.in_warehouse / ours.seconds,
        ]

    whole, sending, bare, our_cpu, bare_cpu, share = medians(TIMES, run)
    ideal = THREADS / (latency_ms / 1000) if latency_ms else None
    against = f"; {sending / ideal:.0%} of concurrency / latency ({ideal:.0f})" if ideal else ""
    print(
        f"\nreceiver at {latency_ms} ms, {THREADS} threads, {webhooks} webhooks: "
        f"{sending:.0f}/s while sending, {whole:.0f}/s with the statements ({share:.0%} of the "
        f"time); bare requests loop {bare:.0f}/s ({sending / bare:.0%} while sending, "
        f"{whole / bare:.0%} in all){against}; processor time {our_cpu:.2f} ms a webhook, "
        f"bare {bare_cpu:.2f} ms"
    )


def test_several_processes_where_one_interpreter_is_the_limit(
    warehouse_settings: EmbeddedWarehouse, warehouse: Warehouse, tmp_path: Path
) -> None:
    latency_ms, processes, webhooks = 50, 2, 6_000
    limits = replace(LIMITS, threads=THREADS // processes, per_endpoint=4, batch_size=500)
    with receiver_process() as target:
        outcome = deliver_side_by_side(
            warehouse_settings,
            warehouse,
            target,
            tmp_path,
            processes=processes,
            webhooks=webhooks,
            path=f"/wait/{latency_ms}",
            limits=limits,
        )
    assert outcome.received == {1: webhooks}
    rate, ideal = webhooks / outcome.seconds, THREADS / (latency_ms / 1000)
    print(
        f"\n{processes} processes of {limits.threads} threads, receiver at {latency_ms} ms: "
        f"{rate:.0f}/s with start and statements ({rate / ideal:.0%} of {ideal:.0f})"
    )


def test_the_pattern_of_one_query_and_one_post_for_each(bench: Bench) -> None:
    latency_ms, webhooks = 50, 60
    urls = bench.urls(latency_ms)
    seed(bench.warehouse, urls, **RATE)
    bench.freeze(webhooks)
    outbox = "analytics.sync.webhook_outbox"
    ids = bench.warehouse.rows(f"select webhook_id from {outbox}")
    started = time.perf_counter()
    with requests.Session() as session:
        for number, row in enumerate(ids):
            found = bench.warehouse.rows(
                f"select body from {outbox} where webhook_id = ?", row["webhook_id"]
            )
            session.post(urls[number % ENDPOINTS], data=found[0]["body"].encode(), timeout=10)
    rate = webhooks / (time.perf_counter() - started)
    print(f"\none query and one POST for each, receiver at {latency_ms} ms: {rate:.0f}/s")


def test_from_a_visible_completion_to_its_2xx(bench: Bench) -> None:
    webhooks = 500
    seed(bench.warehouse, bench.urls(50), **RATE)
    bench.send(50)
    delays: list[float] = []
    for _ in range(TIMES):
        before = bench.target.count()
        ids = range(bench.users + 1, bench.users + webhooks + 1)
        bench.users += webhooks
        complete(bench.warehouse, ids, endpoints=ENDPOINTS)
        visible_at = time.time()
        all_steps(bench.warehouse, bench.run)
        receipts = bench.target.received(after=before)
        assert len(receipts) == webhooks
        delays.append(p95([one.received_at + 0.05 - visible_at for one in receipts]))
    middle = sorted(delays)[TIMES // 2]
    assert middle < 15
    print(f"\ncompletion visible to 2xx, {webhooks} webhooks in one run: p95 {middle:.1f} s")


def test_learning_time_of_five_thousand_completions(
    warehouse_settings: EmbeddedWarehouse, warehouse: Warehouse
) -> None:
    keys = [CompletionKey(enterprise(n % 10), n, COURSE_RUN) for n in range(5_000)]
    create_table(
        warehouse,
        "completion_learning_time",
        LEARNING_TIME_COLUMNS,
        (
            {
                "enterprise_customer_uuid": key.enterprise_customer_uuid,
                "user_id": key.user_id,
                "courserun_key": key.courserun_key,
                "passed_at": PASSED_AT,
                "learning_time_seconds": 60 * key.user_id,
                "event_count": 1,
                "computed_through": "2026-03-12T00:00:00",
            }
            for key in keys
        ),
    )

    def run() -> list[float]:
        with open_warehouse(warehouse_settings, purpose="bench") as session:
            client = LearningTimeClient(session)
            started = time.perf_counter()
            outcomes = client.get_many(keys)
            seconds = time.perf_counter() - started
            assert all(isinstance(outcome, Found) for outcome in outcomes.values())
            assert client.statements == 1
            started = time.perf_counter()
            client.get_learning_time(keys[17])
            return [seconds, time.perf_counter() - started]

    seconds, hit = medians(TIMES, run)
    assert seconds < 5
    print(
        f"\n5,000 learning times in one statement: {seconds:.2f} s; from cache {hit * 1e6:.0f} µs"
    )
