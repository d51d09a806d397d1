"""Deliver one outbox with several processes at once, and count what came of it."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sync.delivery.scheduler import Limits
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse, open_warehouse
from tests.support.delivery import Run, audit, complete, seed
from tests.support.measuring import processor_seconds
from tests.support.receiver_process import ReceiverProcess

ENDPOINTS = 40
LIMITS = Limits(batch_size=200, threads=16, per_endpoint=8, time_budget=timedelta(minutes=10))
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
    """From the start of the processes to the end of the last one."""
    delivering_seconds: float
    """The longest run of a process: first claim to last record."""
    sending_seconds: float
    """From the first request to the last, as the receiver saw them."""
    cpu: float
    """Processor time of all runs."""
    others_cpu: tuple[float, ...]
    """That of the processes named in ``pids`` meanwhile."""


def deliver_side_by_side(
    settings: EmbeddedWarehouse,
    warehouse: Warehouse,
    target: ReceiverProcess,
    journals: Path,
    *,
    processes: int,
    webhooks: int,
    path: str = "/ok",
    limits: Limits = LIMITS,
    pids: tuple[int, ...] = (),
) -> Outcome:
    """Seed, build, and let the processes send until nothing is due."""
    seed(
        warehouse,
        [target.url(f"{path}/{n}") for n in range(ENDPOINTS)],
        max_requests_per_minute=600_000,
        timeout_seconds=10,
    )
    complete(warehouse, range(1, webhooks + 1), endpoints=ENDPOINTS)
    run = Run(host_ports=target.host_port, journals=journals, endpoints=ENDPOINTS, limits=limits)
    run.record_and_build(warehouse)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["snowflake.connector", "tests.support.side_by_side"])
    spent = context.SimpleQueue()
    others = [processor_seconds(pid) for pid in pids]
    started = time.monotonic()
    workers = [
        context.Process(target=_send, args=(settings, replace(run, run_id=f"run-{n}"), spent))
        for n in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(LONGEST_SECONDS)
        assert worker.exitcode == 0, f"a process ended with {worker.exitcode}"
    seconds = time.monotonic() - started
    others_cpu = tuple(
        processor_seconds(pid) - before for pid, before in zip(pids, others, strict=True)
    )
    runs = [spent.get() for _ in workers]
    receipts = target.received()
    times = Counter(one.webhook_id for one in receipts)
    moments = [one.received_at for one in receipts]
    rows = warehouse.rows(
        "select run_id, count(*) as n from analytics.sync.webhook_attempts group by run_id"
    )
    return Outcome(
        received=Counter(times.values()),
        by_run={row["run_id"]: int(row["n"]) for row in rows},
        violations=audit(warehouse, is_at_rest=True),
        seconds=seconds,
        delivering_seconds=max(wall for wall, _ in runs),
        sending_seconds=max(moments) - min(moments),
        cpu=sum(cpu for _, cpu in runs),
        others_cpu=others_cpu,
    )


def _send(settings: EmbeddedWarehouse, run: Run, spent: Any) -> None:
    with open_warehouse(settings, purpose="side-by-side") as warehouse:
        cpu, wall = time.process_time(), time.monotonic()
        run.send(warehouse)
        spent.put((time.monotonic() - wall, time.process_time() - cpu))
