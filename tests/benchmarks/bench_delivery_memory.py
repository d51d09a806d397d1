"""Memory of one delivery process over a hundred thousand webhooks."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sync.delivery.scheduler import Limits
from sync.delivery.send import send_due
from sync.domain.work import Attempt
from sync.http.transport import Transport
from sync.warehouse import Warehouse
from tests.support.delivery import Run, complete, seed
from tests.support.measuring import resident_megabytes
from tests.support.receiver_process import receiver_process

WEBHOOKS = int(os.environ.get("LTW_BENCH_DELIVERIES", "100000"))
ENDPOINTS = 16
SEEDED_AT_ONCE = 10_000
LARGEST_GROWTH_MEGABYTES = 100.0


def test_memory_over_a_hundred_thousand_deliveries(warehouse: Warehouse, tmp_path: Path) -> None:
    samples: list[float] = []
    sent = 0

    def sample(attempts: Sequence[Attempt]) -> None:
        nonlocal sent
        sent += len(attempts)
        samples.append(resident_megabytes())

    with receiver_process() as target:
        urls = [target.url(f"/ok/{n}") for n in range(ENDPOINTS)]
        seed(warehouse, urls, max_requests_per_minute=6_000_000, timeout_seconds=10)
        limits = Limits(batch_size=2_000, time_budget=timedelta(hours=1))
        run = Run(host_ports=target.host_port, journals=tmp_path, endpoints=ENDPOINTS)
        for start in range(1, WEBHOOKS + 1, SEEDED_AT_ONCE):
            users = range(start, min(start + SEEDED_AT_ONCE, WEBHOOKS + 1))
            complete(warehouse, users, endpoints=ENDPOINTS)
            run.record_and_build(warehouse)
        run = Run(
            host_ports=target.host_port, journals=tmp_path, endpoints=ENDPOINTS, limits=limits
        )
        started = time.monotonic()
        with Transport(policy=run.policy) as transport:
            send_due(warehouse, run.sender(warehouse, transport), on_batch=sample)
        seconds = time.monotonic() - started
    assert sent == WEBHOOKS
    # The first batch includes one-time loading.
    growth = samples[-1] - samples[0]
    print(
        f"\n{WEBHOOKS} webhooks in {seconds:.0f} s: {samples[0]:.0f} MB after the first batch, "
        f"{samples[len(samples) // 2]:.0f} MB half way, {samples[-1]:.0f} MB at the end "
        f"({growth / WEBHOOKS * 1e6:.0f} bytes a webhook)"
    )
    assert growth < LARGEST_GROWTH_MEGABYTES
