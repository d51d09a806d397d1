"""Other ways to send rows from a warehouse to an endpoint, to compare with ``bench_delivery``.

``dlt`` and ``drt-core`` are not dependencies of this project; install them to measure them.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sync.warehouse import Warehouse
from tests.support.delivery import Run, complete, seed
from tests.support.ledger_rows import WITH_MESSAGES
from tests.support.receiver_process import ReceiverProcess, receiver_process

LATENCY_MS = 50
ENDPOINTS = 16
PATH = f"/wait/{LATENCY_MS}"


def without(package: str, module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None, reason=f"{package} is not installed"
    )


@pytest.fixture
def target() -> Iterator[ReceiverProcess]:
    with receiver_process() as running:
        yield running


def report(what: str, webhooks: int, started: float, target: ReceiverProcess) -> None:
    rate = webhooks / (time.perf_counter() - started)
    assert target.count() == webhooks
    print(f"\n{what}, receiver at {LATENCY_MS} ms: {rate:.0f}/s")


def test_one_query_and_one_post_for_each(
    warehouse: Warehouse, target: ReceiverProcess, tmp_path: Path
) -> None:
    webhooks = 60
    urls = [target.url(f"{PATH}/{n}") for n in range(ENDPOINTS)]
    seed(warehouse, urls)
    complete(warehouse, range(1, webhooks + 1), endpoints=ENDPOINTS)
    run = Run(host_ports=target.host_port, journals=tmp_path, endpoints=ENDPOINTS)
    run.record_and_build(warehouse)
    outbox = "analytics.sync.webhook_outbox"
    ids = warehouse.rows(f"select webhook_id from {outbox}")
    started = time.perf_counter()
    with requests.Session() as session:
        for number, row in enumerate(ids):
            found = warehouse.rows(
                f"select body from {WITH_MESSAGES} where webhook_id = ?", row["webhook_id"]
            )
            session.post(urls[number % ENDPOINTS], data=found[0]["body"].encode(), timeout=10)
    report("one query and one POST for each", webhooks, started, target)


@without("dlt", "dlt")
@pytest.mark.parametrize("files", [1, 20])
def test_a_dlt_sink(
    target: ReceiverProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """One POST per row: with the defaults, and with many small files and as many workers."""
    import dlt  # pyright: ignore[reportMissingImports]

    webhooks = 200 if files == 1 else 1_000
    url = target.url(f"{PATH}/1")
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    if files > 1:
        monkeypatch.setenv("NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS", str(webhooks // files))
        monkeypatch.setenv("LOAD__WORKERS", str(files))

    @dlt.destination(batch_size=1, name="webhooks")
    def send(items: Any, table: object) -> None:
        with requests.Session() as session:
            for item in items:
                session.post(url, json=item, timeout=10).raise_for_status()

    pipeline = dlt.pipeline("bench", destination=send, pipelines_dir=str(tmp_path))
    rows = [{"id": n, "body": "x" * 500} for n in range(webhooks)]
    started = time.perf_counter()
    pipeline.run(rows, table_name="events")
    report(f"dlt sink, {files} file(s)", webhooks, started, target)


@without("drt-core", "drt")
def test_a_drt_destination(target: ReceiverProcess) -> None:
    """Only its REST destination, without its source; it sends rows one by one."""
    from drt.config.models import (  # pyright: ignore[reportMissingImports]
        RestApiDestinationConfig,
        SyncOptions,
    )
    from drt.destinations.rest_api import (  # pyright: ignore[reportMissingImports]
        RestApiDestination,
    )

    webhooks = 200
    config = RestApiDestinationConfig(
        type="rest_api", url=target.url(f"{PATH}/1"), body_template='{"body": "{{ row.body }}"}'
    )
    options = SyncOptions(rate_limit={"requests_per_second": 100_000})
    rows = [{"id": n, "body": "x" * 500} for n in range(webhooks)]
    started = time.perf_counter()
    RestApiDestination().load(rows, config, options)
    report("drt REST destination", webhooks, started, target)
