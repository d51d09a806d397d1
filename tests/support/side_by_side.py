"""Deliver one outbox with several processes at once, and count what came of it."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from sync.sender import DispatchLimits
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse
from tests.support.delivery import Run, audit, complete, seed
from tests.support.receiver_process import ReceiverProcess

ENDPOINTS = 40
LIMITS = DispatchLimits(
    batch_size=200, threads=16, per_endpoint=8, time_budget=timedelta(minutes=10)
)
LONGEST_SECONDS = 900.0


@dataclass(frozen=True)
class Outcome:
    """What the receiver and the ledger say afterwards."""

    received: Mapping[int, int]
    """How many webhooks came so many times."""
    by_run: Mapping[str, int]
    """Attempts by process."""
    violations: list[str]
    seconds: float


def deliver_side_by_side(
    settings: EmbeddedWarehouse,
    warehouse: Warehouse,
    target: ReceiverProcess,
    journals: Path,
    *,
    processes: int,
    webhooks: int,
    path: str = "/ok",
    limits: DispatchLimits = LIMITS,
) -> Outcome:
    """Seed, freeze, and let the processes send until nothing is due."""
    seed(
        warehouse,
        [target.url(f"{path}/{n}") for n in range(ENDPOINTS)],
        max_requests_per_minute=600_000,
        timeout_seconds=10,
    )
    complete(warehouse, range(1, webhooks + 1), endpoints=ENDPOINTS)
    run = Run(host_ports=target.host_port, journals=journals, endpoints=ENDPOINTS, limits=limits)
    run.detect_and_freeze(warehouse)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["snowflake.connector", "tests.support.side_by_side"])
    started = time.monotonic()
    workers = [
        context.Process(target=_send, args=(settings, replace(run, run_id=f"run-{n}")))
        for n in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(LONGEST_SECONDS)
        assert worker.exitcode == 0, f"a process ended with {worker.exitcode}"
    seconds = time.monotonic() - started
    times = Counter(one.webhook_id for one in target.received())
    rows = warehouse.rows(
        "select run_id, count(*) as n from analytics.sync.webhook_attempts group by run_id"
    )
    return Outcome(
        received=Counter(times.values()),
        by_run={row["run_id"]: int(row["n"]) for row in rows},
        violations=audit(warehouse, is_at_rest=True),
        seconds=seconds,
    )


def _send(settings: EmbeddedWarehouse, run: Run) -> None:
    with open_warehouse(settings, purpose="side-by-side") as warehouse:
        run.send(warehouse)
