"""Endpoints with webhooks that wait to be sent, and a poster in this process that responds."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from sync.delivery.scheduler import Limits
from sync.delivery.send import SendReport, send_due
from sync.domain.responses import Failure, Response, ResponseWithBody
from sync.ledger.steps import Step, nothing
from sync.warehouse import Warehouse
from tests.support.delivery import Run, complete, seed

BATCH = 10
OK = Response(200, None, "")


class Poster:
    """Responses as told, in this process; counts what it was sent."""

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


class Site:
    """Endpoints with a number of built webhooks each, and a run that sends them."""

    def __init__(
        self, warehouse: Warehouse, journals: Path, *, counts: list[int], **endpoint: object
    ) -> None:
        self.warehouse = warehouse
        urls = [f"https://hooks.example.com/{n}" for n in range(len(counts))]
        seed(warehouse, urls, **endpoint)
        self.ids: set[str] = set()
        for n, count in enumerate(counts):
            users = range(n + len(counts) * 1_000, len(counts) * (1_000 + count), len(counts))
            self.ids |= complete(warehouse, users, endpoints=len(counts))
        limits = Limits(batch_size=BATCH, threads=8, per_endpoint=2)
        self.run = Run(host_ports="", journals=journals, endpoints=len(counts), limits=limits)
        self.run.record_and_build(warehouse)

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
