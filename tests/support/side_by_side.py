"""Deliver one outbox with several concurrent processes, and count the results."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sync.delivery.scheduler import Limits
from sync.ledger.steps import Hook, Step, nothing
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
    """What the receiver and the ledger show afterwards."""

    received: Mapping[int, int]
    """Number of webhooks by how many times they arrived."""
    by_run: Mapping[str, int]
    """Attempts by process."""
    violations: list[str]
    seconds: float
    """From the start of the processes until the last one exits."""
    delivering_seconds: float
    """The longest run of a process, from first claim to last record."""
    sending_seconds: float
    """From the first request to the last, as the receiver saw them."""
    cpu: float
    """CPU time of all runs."""
    others_cpu: tuple[float, ...]
    """CPU time of the processes in ``pids`` during the runs."""


@dataclass(frozen=True)
class Company:
    """Makes each process wait after its first claim until a second process has claimed too."""

    is_first: Any
    """A semaphore that the first process acquires and never releases."""
    is_there: Any
    """An event that the second process sets."""

    def hook(self) -> Hook:
        """The hook for one process."""
        claims = count()

        def wait(step: Step) -> None:
            if step is Step.CLAIMED and next(claims) == 0:
                if not self.is_first.acquire(block=False):
                    self.is_there.set()
                assert self.is_there.wait(LONGEST_SECONDS / 2)

        return wait


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
    in_company: bool = False,
) -> Outcome:
    """Seed, build, and let the processes send until nothing is due.

    ``in_company`` lets none of them send before two have claimed, however late the second starts.
    """
    seed(
        warehouse,
        [target.url(f"{path}/{n}") for n in range(ENDPOINTS)],
        max_requests_per_minute=600_000,
        timeout_seconds=60,
    )
    complete(warehouse, range(1, webhooks + 1), endpoints=ENDPOINTS)
    run = Run(host_ports=target.host_port, journals=journals, endpoints=ENDPOINTS, limits=limits)
    run.record_and_build(warehouse)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["snowflake.connector", "tests.support.side_by_side"])
    spent = context.SimpleQueue()
    company = Company(context.Semaphore(1), context.Event()) if in_company else None
    others = [processor_seconds(pid) for pid in pids]
    started = time.monotonic()
    workers = [
        context.Process(
            target=_send, args=(settings, replace(run, run_id=f"run-{n}"), spent, company)
        )
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
    received_at = [one.received_at for one in receipts]
    rows = warehouse.rows(
        "select run_id, count(*) as n from analytics.sync.webhook_attempts group by run_id"
    )
    return Outcome(
        received=Counter(times.values()),
        by_run={row["run_id"]: int(row["n"]) for row in rows},
        violations=audit(warehouse, is_at_rest=True),
        seconds=seconds,
        delivering_seconds=max(wall for wall, _ in runs),
        sending_seconds=max(received_at) - min(received_at),
        cpu=sum(cpu for _, cpu in runs),
        others_cpu=others_cpu,
    )


def _send(
    settings: EmbeddedWarehouse, run: Run, spent: Any, company: Company | None = None
) -> None:
    hook = company.hook() if company else nothing
    with open_warehouse(settings, purpose="side-by-side") as warehouse:
        cpu, wall = time.process_time(), time.monotonic()
        run.send(warehouse, hook=hook)
        spent.put((time.monotonic() - wall, time.process_time() - cpu))
