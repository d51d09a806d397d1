"""Endpoints with webhooks to send, and an in-process poster that responds."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from sync.delivery.scheduler import Limits
from sync.delivery.send import SendReport, send_due
from sync.domain.responses import Failure, Response, ResponseWithBody
from sync.ledger.steps import Step, nothing
from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse
from tests.support.delivery import Run, complete, completed, seed
from tests.support.scenarios import Scenarios

BATCH = 10
OK = Response(200, None, "")


class Poster:
    """Responds as configured, in this process, and counts requests."""

    def __init__(self, answer: Callable[[str], Response | Failure] = lambda url: OK) -> None:
        self.answer = answer
        self.sent: Counter[str] = Counter()
        """Requests by webhook id."""
        self.urls: Counter[str] = Counter()
        self.lock = threading.Lock()

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Response | Failure:
        with self.lock:
            self.sent[headers["webhook-id"]] += 1
            self.urls[url] += 1
        return self.answer(url)

    def post_for_body(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> ResponseWithBody | Failure:
        raise AssertionError("no endpoint here wants a token")


@dataclass
class Site:
    """Endpoints, each with a number of built webhooks, and a run that sends them."""

    warehouse: Warehouse
    run: Run
    ids: set[str]

    def at(self, *urls: str) -> Site:
        """The same with the endpoints' URLs, which point to receivers of the test."""
        for n, url in enumerate(urls, start=1):
            self.warehouse.execute(
                "update analytics.marts.webhook_endpoints set url = ? where endpoint_id = ?", url, n
            )
        host_ports = ",".join({urlsplit(url).netloc for url in urls})
        return replace(self, run=replace(self.run, host_ports=host_ports))

    def send(
        self,
        poster: Poster,
        *,
        warehouse: Warehouse | None = None,
        hook: Callable[[Step], None] = nothing,
        **limits: object,
    ) -> SendReport:
        session = warehouse or self.warehouse
        run = replace(self.run, limits=replace(self.run.limits, **limits))  # pyright: ignore[reportArgumentType]
        return send_due(session, run.sender(session, poster, hook=hook))


Built = Callable[..., Site]
"""``built_site`` without its numbers and settings."""


def built_site(
    scenarios: Scenarios, warehouse: Warehouse, journals: Path, *counts: int, **endpoint: object
) -> Site:
    """This many webhooks per endpoint, restored from files if another test has built the same."""
    endpoints = len(counts)
    limits = Limits(batch_size=BATCH, threads=8, per_endpoint=2)
    run = Run(host_ports="", journals=journals, endpoints=endpoints, limits=limits)
    users = [
        user
        for n, count in enumerate(counts)
        for user in range(n + endpoints * 1_000, endpoints * (1_000 + count), endpoints)
    ]

    def make(empty: Warehouse) -> None:
        scenarios.stand("ledger", ensure_ledger)
        seed(empty, [f"https://hooks.example.com/{n}" for n in range(endpoints)], **endpoint)
        complete(empty, users, endpoints=endpoints)
        run.record_and_build(empty)

    name = hashlib.sha256(repr((counts, endpoint)).encode()).hexdigest()
    scenarios.stand(f"site-{name[:12]}", make)
    return Site(warehouse, run, completed(users, endpoints=endpoints))
