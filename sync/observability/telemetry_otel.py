"""Telemetry over OpenTelemetry's SDK; imported only when it is wanted and installed."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from opentelemetry.metrics import Counter, Histogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from sync.observability.instruments import INSTRUMENTS, Instrument

SERVICE = "learning-time-webhooks"
TEMPORALITY_SETTING = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
EXPORT_EVERY_MS = 30_000
EXPORT_SECONDS = 3
"""How long one export may take, its retries included."""
FLUSH_SECONDS = 5
"""What a collector that hangs may cost a step of a run."""


class OpenTelemetry:
    """Instruments made once; what is said goes to the SDK, which exports beside the work."""

    is_on = True

    def __init__(
        self, *, readers: Sequence[MetricReader], spans: Sequence[SpanProcessor], resource: Resource
    ) -> None:
        views = [
            View(
                instrument_name=one.name,
                aggregation=ExplicitBucketHistogramAggregation(one.buckets),
            )
            for one in INSTRUMENTS
            if one.buckets
        ]
        self._metrics = MeterProvider(readers, resource, views=views, shutdown_on_exit=False)
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        for processor in spans:
            self._traces.add_span_processor(processor)
        self._tracer = self._traces.get_tracer(SERVICE)
        meter = self._metrics.get_meter(SERVICE)
        makers = {
            "counter": meter.create_counter,
            "histogram": meter.create_histogram,
            "gauge": meter.create_gauge,
        }
        self._instruments = {one.name: makers[one.kind](one.name, one.unit) for one in INSTRUMENTS}

    @classmethod
    def over_otlp(cls, environ: Mapping[str, str]) -> OpenTelemetry:
        """Export over OTLP/HTTP; the exporters read the standard ``OTEL_*`` variables themselves.

        A run is a process of minutes. Its counters therefore go out as differences, which a
        collector can add up over processes, unless the standard variable asks for something else.
        """
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        if not environ.get(TEMPORALITY_SETTING):
            os.environ[TEMPORALITY_SETTING] = "delta"
        metrics = OTLPMetricExporter(timeout=EXPORT_SECONDS)
        return cls(
            readers=[
                PeriodicExportingMetricReader(metrics, export_interval_millis=EXPORT_EVERY_MS)
            ],
            spans=[BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_SECONDS))],
            resource=resource(environ),
        )

    def count(self, instrument: Instrument, number: int = 1, **attributes: str | int) -> None:
        """Add to a counter."""
        counter = self._instruments[instrument.name]
        if isinstance(counter, Counter):
            counter.add(number, attributes)

    def record(self, instrument: Instrument, value: float, **attributes: str | int) -> None:
        """Record a value of a histogram, or set a gauge."""
        found = self._instruments[instrument.name]
        if isinstance(found, Histogram):
            found.record(value, attributes)
        elif not isinstance(found, Counter):
            found.set(value, attributes)

    def span(self, name: str, started_at: datetime, **attributes: str | int) -> None:
        """A span from ``started_at`` (naive UTC) to now."""
        began = int(started_at.replace(tzinfo=UTC).timestamp() * 1e9)
        self._tracer.start_span(name, start_time=began, attributes=attributes).end()

    def flush(self) -> None:
        """Send what there is, within ``FLUSH_SECONDS``; a failure is the exporter's to log."""
        # Threads, because the SDK waits for an export that hangs, whatever time it is given.
        parts = [
            threading.Thread(target=one.force_flush, daemon=True)
            for one in (self._metrics, self._traces)
        ]
        deadline = time.monotonic() + FLUSH_SECONDS
        for part in parts:
            part.start()
        for part in parts:
            part.join(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """End the threads that export."""
        self._metrics.shutdown()
        self._traces.shutdown()


def resource(environ: Mapping[str, str]) -> Resource:
    """Who speaks: the service, and one id for each process."""
    name = environ.get("OTEL_SERVICE_NAME") or SERVICE
    return Resource.create({"service.name": name, "service.instance.id": str(uuid.uuid4())})
