"""The effect of hanging endpoints on healthy ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.delivery.scheduler import Limits
from sync.warehouse import Warehouse
from tests.support.delivery import Run, complete, delivered, seed
from tests.support.measuring import p95
from tests.support.receiver_process import ReceiverProcess, receiver_process

EACH = 20
LATENCY_MS = 20
TIMES = 3


def healthy_p95(
    warehouse: Warehouse, target: ReceiverProcess, journals: Path, *, endpoints: int, hanging: int
) -> float:
    """p95 of the time from a run's first request to each request to healthy endpoints."""
    for table in ("webhook_outbox", "webhook_attempts", "endpoint_state"):
        warehouse.execute(f"delete from analytics.sync.{table}")
    warehouse.execute("delete from analytics.marts.completed_enrollments")
    urls = [
        target.url(f"/hang/{n}" if n < hanging else f"/wait/{LATENCY_MS}/{n}")
        for n in range(endpoints)
    ]
    seed(warehouse, urls, timeout_seconds=3, max_requests_per_minute=600_000)
    complete(warehouse, range(1, endpoints * EACH + 1), endpoints=endpoints)
    run = Run(
        host_ports=target.host_port,
        journals=journals,
        endpoints=endpoints,
        limits=Limits(batch_size=5_000),
    )
    run.record_and_build(warehouse)
    target.clear()
    run.send(warehouse)
    receipts = target.received()
    first = min(one.received_at for one in receipts)
    # The same endpoints in both measurements: a tenth is omitted from each.
    spared = {f"/wait/{LATENCY_MS}/{n}" for n in range(endpoints // 10)}
    healthy = [one for one in receipts if one.status == 200 and one.path not in spared]
    assert len(healthy) == EACH * (endpoints - endpoints // 10)
    assert len(delivered(warehouse)) == EACH * (endpoints - hanging)
    return p95([one.received_at - first for one in healthy])


@pytest.mark.parametrize("endpoints", [40, 100])
def test_one_in_ten_endpoints_hangs(warehouse: Warehouse, tmp_path: Path, endpoints: int) -> None:
    with receiver_process() as target:
        seed(warehouse, [])
        normal, beside = [], []
        for _ in range(TIMES):
            normal.append(healthy_p95(warehouse, target, tmp_path, endpoints=endpoints, hanging=0))
            beside.append(
                healthy_p95(
                    warehouse, target, tmp_path, endpoints=endpoints, hanging=endpoints // 10
                )
            )
    before, after = sorted(normal)[TIMES // 2], sorted(beside)[TIMES // 2]
    print(
        f"\n{endpoints} endpoints, {EACH} webhooks each: p95 of the healthy {before:.2f} s; "
        f"{after:.2f} s while one in ten hangs ({after / before:.2f} times)"
    )
    assert after / before < 1.5
