"""Receivers modeled on known systems, which lose every tenth response."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sync.delivery.scheduler import Limits
from sync.warehouse import Warehouse
from tests.support.delivery import delivered
from tests.support.events import XAPI
from tests.support.site import Built

Form = Callable[[bytes | None, bytes], int]
"""Function from a statement, and any stored under its id, to the status."""


def hibob(stored: bytes | None, body: bytes) -> int:
    """409 for every repeated id."""
    return 200 if stored is None else 409


def record_store(stored: bytes | None, body: bytes) -> int:
    """204 for the same statement again, 409 for a different one with its id."""
    if stored is None:
        return 200
    return 204 if stored == body else 409


def linkedin(stored: bytes | None, body: bytes) -> int:
    """The same status whether it has the statement or not."""
    return 200


@dataclass
class Store:
    """A learning record store on loopback."""

    form: Form
    statements: dict[str, bytes] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    versions: set[str | None] = field(default_factory=set)
    rewritten: int = 0
    """Statements that arrived again with different bytes."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, body: bytes, version: str | None) -> int | None:
        """The status; None to lose the response."""
        statement_id = json.loads(body)["id"]
        with self._lock:
            self.versions.add(version)
            stored = self.statements.setdefault(statement_id, body)
            is_new = self.requests[statement_id] == 0
            self.requests[statement_id] += 1
            self.rewritten += stored != body
            is_lost = self.requests.total() % 10 == 0
            status = self.form(None if is_new else stored, body)
        return None if is_lost else status


@contextmanager
def serving(store: Store) -> Iterator[int]:
    """The store on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = store.take(body, self.headers["X-Experience-API-Version"])
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    "count", [pytest.param(40, id="few"), pytest.param(10_000, id="many", marks=pytest.mark.prove)]
)
@pytest.mark.parametrize("form", [hibob, record_store, linkedin])
def test_a_statement_whose_response_was_lost_is_delivered_once_and_never_dead(
    built: Built, warehouse: Warehouse, form: Form, count: int
) -> None:
    store = Store(form)
    with serving(store) as port:
        site = built(count, payload_format="xapi", **XAPI).at(f"http://127.0.0.1:{port}/statements")
        run = replace(site.run, limits=Limits())
        run.send(warehouse)
        # Each lost response may be lost again.
        while delivered(warehouse) != site.ids:
            run = run.later(timedelta(hours=11))
            report = run.send(warehouse)
            assert report.outcomes.get("dead", 0) == 0
            assert report.outcomes, "nothing is left to be tried"
    assert store.statements.keys() == site.ids
    assert store.rewritten == 0
    assert store.requests.total() > count, "some responses were lost"
    assert store.versions == {"1.0.3"}
