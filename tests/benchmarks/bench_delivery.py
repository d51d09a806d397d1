"""Speed of the delivery engine with signing, guard, journal and ledger on.

The receiver, the warehouse and each run of the engine are separate processes that share this
machine's cores, so the CPU time of each is reported with the rate.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sync.delivery.scheduler import Limits
from sync.local.embedded.lifecycle import Running, status
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.support.measuring import bare_requests
from tests.support.receiver_process import ReceiverProcess, receiver_process
from tests.support.side_by_side import ENDPOINTS, deliver_side_by_side

SECONDS = float(os.environ.get("LTW_BENCH_SECONDS", "6"))
"""Duration of a measurement at the rate that latency and concurrency allow."""
AT_NO_LATENCY = 1_000
"""Assumed webhooks per second if latency sets no limit."""
BATCHES = 2_000
"""Webhooks that all processes claim in a turn. Only whole turns are measured: in half a turn at
the end, one process would send alone, at half the concurrency.
"""
BODY = b"x" * 520


@pytest.fixture
def target() -> Iterator[ReceiverProcess]:
    with receiver_process() as running:
        yield running


@pytest.mark.parametrize(
    ("latency_ms", "processes", "threads"),
    [(0, 1, 64), (0, 2, 32), (50, 1, 16), (50, 1, 64), (50, 2, 32), (100, 1, 64), (100, 2, 32)],
)
def test_webhooks_a_second(
    warehouse_settings: EmbeddedWarehouse,
    warehouse: Warehouse,
    target: ReceiverProcess,
    tmp_path: Path,
    latency_ms: int,
    processes: int,
    threads: int,
) -> None:
    concurrency = processes * threads
    ideal = concurrency / (latency_ms / 1000) if latency_ms else None
    webhooks = math.ceil((ideal or AT_NO_LATENCY) * SECONDS / BATCHES) * BATCHES
    path = f"/wait/{latency_ms}" if latency_ms else "/ok"
    urls = [target.url(f"{path}/{n}") for n in range(ENDPOINTS)]
    bare = bare_requests(urls, BODY, threads=concurrency, total=webhooks)
    target.clear()
    engine = status(warehouse_settings.port)
    assert isinstance(engine, Running)
    pids = (target.pid, engine.pid)
    # Building ends before the first request, and the receiver is idle until then.
    outcome = deliver_side_by_side(
        warehouse_settings,
        warehouse,
        target,
        tmp_path,
        processes=processes,
        webhooks=webhooks,
        path=path,
        limits=Limits(
            threads=threads,
            per_endpoint=4,
            batch_size=BATCHES // processes,
            time_budget=timedelta(minutes=10),
        ),
        pids=pids,
    )
    assert outcome.received == {1: webhooks}
    waited = target.mean_wait() if latency_ms else 0.0
    sending = webhooks / (outcome.sending_seconds + latency_ms / 1000)
    whole = webhooks / outcome.delivering_seconds
    receiver_cpu, warehouse_cpu = outcome.others_cpu
    print(
        f"\n{latency_ms} ms, {processes} x {threads} threads, {webhooks} webhooks: "
        f"{sending:.0f}/s while sending, {whole:.0f}/s from first claim to last record; "
        f"bare requests loop {webhooks / bare.seconds:.0f}/s "
        f"(sending {sending * bare.seconds / webhooks:.0%}, "
        f"whole {whole * bare.seconds / webhooks:.0%} of it)"
        + (
            f"; concurrency / latency {ideal:.0f}/s (sending {sending / ideal:.0%}, "
            f"whole {whole / ideal:.0%}, bare {webhooks / bare.seconds / ideal:.0%} of it); "
            f"concurrency / the {waited * 1e3:.1f} ms that the receiver really took "
            f"{concurrency / waited:.0f}/s (sending {sending * waited / concurrency:.0%} of it)"
            if ideal
            else ""
        )
        + f"; processor seconds for 1,000 webhooks: engine {outcome.cpu / webhooks * 1e3:.2f}, "
        f"receiver {receiver_cpu / webhooks * 1e3:.2f}, "
        f"warehouse {warehouse_cpu / webhooks * 1e3:.2f}, "
        f"bare loop {bare.cpu / webhooks * 1e3:.2f}"
    )
