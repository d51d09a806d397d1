"""How soon a completion is sent, and how soon learning time is known."""

from __future__ import annotations

import time
from pathlib import Path

from sync.delivery.learning_time import CompletionKey, Found, LearningTimeClient
from sync.delivery.scheduler import Limits
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse
from tests.support.completions import COURSE_RUN
from tests.support.delivery import PASSED_AT, Run, all_steps, complete, enterprise, seed
from tests.support.marts import LEARNING_TIME_COLUMNS, create_table
from tests.support.measuring import medians, p95
from tests.support.receiver_process import receiver_process

TIMES = 3
ENDPOINTS = 16
LATENCY_MS = 50


def test_from_a_visible_completion_to_its_2xx(warehouse: Warehouse, tmp_path: Path) -> None:
    webhooks = 500
    delays: list[float] = []
    with receiver_process() as target:
        seed(
            warehouse,
            [target.url(f"/wait/{LATENCY_MS}/{n}") for n in range(ENDPOINTS)],
            max_requests_per_minute=600_000,
        )
        run = Run(
            host_ports=target.host_port,
            journals=tmp_path,
            endpoints=ENDPOINTS,
            limits=Limits(threads=64),
        )
        # The first run includes one-time loading.
        for n in range(TIMES + 1):
            before = target.count()
            users = range(n * webhooks + 1, (n + 1) * webhooks + 1)
            complete(warehouse, users, endpoints=ENDPOINTS)
            visible_at = time.time()
            all_steps(warehouse, run)
            receipts = target.received(after=before)
            assert len(receipts) == webhooks
            delays.append(
                p95([one.received_at + LATENCY_MS / 1000 - visible_at for one in receipts])
            )
    middle = sorted(delays[1:])[TIMES // 2]
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
    print(f"\n5,000 learning times in one statement: {seconds:.2f} s; again {hit * 1e6:.0f} µs")
