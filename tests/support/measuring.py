"""Measurements of a run: where its time went, and how it compares."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import requests

from sync.warehouse import Warehouse

PAGE_BYTES = 4_096


@dataclass
class Spent:
    """Time of the block, and the part spent in warehouse statements."""

    seconds: float = 0.0
    in_warehouse: float = 0.0
    statements: int = 0
    cpu: float = 0.0
    """CPU time of this process, which other load on the machine does not change."""


@contextmanager
def measured() -> Iterator[Spent]:
    """Time the block and every statement in it."""
    spent = Spent()
    plain = Warehouse._run

    def timed(self: Warehouse, sql: str, binds: tuple[object, ...]) -> object:
        started = time.perf_counter()
        try:
            return plain(self, sql, binds)
        finally:
            spent.in_warehouse += time.perf_counter() - started
            spent.statements += 1

    Warehouse._run = timed
    cpu, started = time.process_time(), time.perf_counter()
    try:
        yield spent
    finally:
        spent.seconds = time.perf_counter() - started
        spent.cpu = time.process_time() - cpu
        Warehouse._run = plain


def bare_requests(urls: Sequence[str], body: bytes, *, threads: int, total: int) -> Spent:
    """A plain ``requests`` loop: one session per thread, no signature, guard, journal or ledger."""
    local = threading.local()

    def post(number: int) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        local.session.post(urls[number % len(urls)], data=body, timeout=30)

    with measured() as spent, ThreadPoolExecutor(threads) as pool:
        list(pool.map(post, range(total)))
    return spent


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return quantiles(values, n=20)[-1]


def medians(times: int, run: Callable[[], Sequence[float]]) -> list[float]:
    """Run this many times; returns the median of each number."""
    return [median(column) for column in zip(*(run() for _ in range(times)), strict=True)]


def processor_seconds(pid: int) -> float:
    """CPU time that a process on this machine has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 1e6
