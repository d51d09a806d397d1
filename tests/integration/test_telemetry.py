"""Metrics and traces of real delivery runs, in the SDK's readers and at a collector."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sync import telemetry
from sync.delivery.send import send_due
from sync.http.transport import Transport
from sync.operations.watching import Watch
from sync.telemetry import FLUSH_SECONDS
from sync.warehouse import Warehouse
from tests.documents.test_observability import METRICS, SPANS
from tests.support.delivery import Run
from tests.support.receiver_process import ReceiverProcess, receiver_process
from tests.support.scenarios import Scenarios
from tests.support.telemetry import listening, nobody_listens
from tests.support.watched import NO_SETTING, PER_ENDPOINT, built_run, deliver


@pytest.fixture(scope="module")
def target() -> Iterator[ReceiverProcess]:
    with receiver_process() as running:
        yield running


@pytest.fixture
def run(scenarios: Scenarios, warehouse: Warehouse, target: ReceiverProcess, tmp_path: Path) -> Run:
    return built_run(scenarios, warehouse, target, tmp_path)


def test_metrics_and_spans_of_a_run_agree_with_its_ledger(warehouse: Warehouse, run: Run) -> None:
    with listening() as heard:
        deliver(warehouse, run, NO_SETTING)
        attempts = warehouse.rows(
            """
            select endpoint_id, outcome, count(*) as n from analytics.sync.webhook_attempts
            group by endpoint_id, outcome
            """
        )
        assert heard.points("ltw.attempts") == {
            (("endpoint_id", int(row["endpoint_id"])), ("outcome", row["outcome"])): row["n"]
            for row in attempts
        }
        retries = heard.points("ltw.retries")
        assert retries == {(("endpoint_id", 2), ("error_kind", "E_HTTP")): 3}
        assert sum(heard.points("ltw.dead_letters").values()) >= 1
        assert heard.points("ltw.delivery.latency") == {(): 3}
        durations = heard.points("ltw.attempt.duration")
        assert sum(durations.values()) == sum(row["n"] for row in attempts)
        states = {str(labels[0][1]): n for labels, n in heard.points("ltw.outbox.webhooks").items()}
        rows = warehouse.rows(
            "select state, count(*) as n from analytics.sync.webhook_outbox group by state"
        )
        assert {state: n for state, n in states.items() if n} == {
            row["state"]: row["n"] for row in rows
        }
        assert heard.spans() == {"deliver": 1, "batch": 1}
        for name, metric in heard.metrics().items():
            names = {key for point in metric.data.data_points for key in point.attributes or {}}
            assert (metric.unit, names) == METRICS[name], "as docs/observability.md has it"


def test_nothing_is_asked_of_the_warehouse_when_nobody_listens(
    warehouse: Warehouse, run: Run
) -> None:
    with Transport(policy=run.policy) as transport:
        report = send_due(warehouse, run.sender(warehouse, transport))
    before = warehouse.statements
    Watch("run-1").delivered(warehouse, report)
    assert warehouse.statements == before


class Collector(ThreadingHTTPServer):
    """Accepts OTLP over HTTP, like a collector."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.metrics: dict[str, str] = {}
        self.spans: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Collector)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    server.metrics |= {one.name: one.unit for one in scope.metrics}
        elif self.path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    server.spans += [span.name for span in scope.spans]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output quiet."""


@contextmanager
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.fixture
def silence() -> Iterator[None]:
    with nobody_listens():
        yield


def test_a_collector_hears_the_run_by_the_time_its_step_ends(
    warehouse: Warehouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The exporters stop before their collector does: they would retry for half a minute.
    with collector() as server, nobody_listens():
        monkeypatch.setattr("sync.telemetry.EXPORT_SECONDS", 60)
        monkeypatch.setattr("sync.telemetry.FLUSH_SECONDS", 120)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", raising=False)
        deliver(warehouse, run, {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url})
        assert server.metrics.items() <= {name: unit for name, (unit, _) in METRICS.items()}.items()
        assert {
            "ltw.attempts",
            "ltw.delivery.latency",
            "ltw.outbox.webhooks",
        } <= server.metrics.keys()
        assert set(server.spans) == {"deliver", "batch"} <= set(SPANS)


def test_a_collector_that_is_down_costs_a_run_seconds_and_nothing_else(
    warehouse: Warehouse, run: Run, silence: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    deliver(warehouse, run, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    # Many times its limit, since delivery is also slow on a slow machine.
    assert time.monotonic() - started < 12 * FLUSH_SECONDS
    rows = warehouse.rows(
        "select count(*) as n from analytics.sync.webhook_outbox where state = 'delivered'"
    )
    assert rows[0]["n"] == PER_ENDPOINT


def test_a_setting_that_the_sdk_refuses_stops_no_run(
    silence: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-3")
    telemetry.start({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    assert not telemetry.is_exported()
    assert "OTEL_" in caplog.text


def test_telemetry_stays_off_without_a_collector_or_when_it_is_switched_off() -> None:
    address = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    assert telemetry.is_wanted(address)
    assert not telemetry.is_wanted(address | {"OTEL_SDK_DISABLED": "true"})
    assert not telemetry.is_wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": ""})
