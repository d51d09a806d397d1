"""Every metric and span of this project. docs/observability.md explains them.

The code uses OpenTelemetry's API, which does nothing, at almost no cost, until an SDK is set up.
``start`` sets one up when ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set and the extra ``otel`` is
installed. No telemetry failure may stop or slow a webhook: export runs in the background with a
deadline.

Units are OpenTelemetry's: ``s`` is seconds, ``{webhook}`` counts webhooks. Attributes have low
cardinality: there are hundreds of endpoints, and no learner, course run or webhook is an attribute.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum

from opentelemetry import metrics, trace
from opentelemetry.metrics import Histogram

log = logging.getLogger(__name__)

SERVICE = "learning-time-webhooks"
ENDPOINT_SETTINGS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
DISABLED_SETTING = "OTEL_SDK_DISABLED"
TEMPORALITY_SETTING = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
EXPORT_EVERY_MS = 30_000
EXPORT_SECONDS = 3
"""How long one export may take, including retries."""
FLUSH_SECONDS = 5
"""Maximum delay of a run's step by a collector that hangs."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper bounds of the buckets for one request or statement."""
LONG_SECONDS = (1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400)
"""Upper bounds of the buckets for how long a webhook took, including waits and retries."""


class Span(StrEnum):
    """The spans of a trace."""

    DETECT = "detect"
    BUILD = "build"
    DELIVER = "deliver"
    BATCH = "batch"


_meter = metrics.get_meter(SERVICE)
DETECTED = _meter.create_counter("ltw.detected", "{event}")
MESSAGES = _meter.create_counter("ltw.messages", "{webhook}")
ATTEMPTS = _meter.create_counter("ltw.attempts", "{attempt}")
RETRIES = _meter.create_counter("ltw.retries", "{attempt}")
DEAD_LETTERS = _meter.create_counter("ltw.dead_letters", "{webhook}")
RECOVERED = _meter.create_counter("ltw.recovered", "{attempt}")
ATTEMPT_DURATION = _meter.create_histogram(
    "ltw.attempt.duration", "s", explicit_bucket_boundaries_advisory=SECONDS
)
DELIVERY_LATENCY = _meter.create_histogram(
    "ltw.delivery.latency", "s", explicit_bucket_boundaries_advisory=LONG_SECONDS
)
LOOKUP_DURATION = _meter.create_histogram(
    "ltw.lookup.duration", "s", explicit_bucket_boundaries_advisory=SECONDS
)
OUTBOX = _meter.create_gauge("ltw.outbox.webhooks", "{webhook}")
OLDEST_DUE = _meter.create_gauge("ltw.outbox.oldest_due", "s")
BLOCKED = _meter.create_gauge("ltw.endpoints.blocked", "{endpoint}")
COMPUTED_THROUGH_AGE = _meter.create_gauge("ltw.learning_time.age", "s")


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a collector and does not disable telemetry."""
    is_disabled = environ.get(DISABLED_SETTING, "").lower() == "true"
    return not is_disabled and any(environ.get(name) for name in ENDPOINT_SETTINGS)


def is_exported() -> bool:
    """Whether metrics are exported, for metrics that cost a query. Only an SDK can flush."""
    return bool(_flushes())


def start(environ: Mapping[str, str]) -> None:
    """Export over OTLP/HTTP as the environment configures it; once started, it stays on.

    The SDK reads the standard ``OTEL_*`` variables itself. A run is a process of minutes, so its
    counters are exported as deltas, which a collector can sum over processes, unless the standard
    variable requests otherwise.
    """
    if is_exported() or not is_wanted(environ):
        return
    if not environ.get(TEMPORALITY_SETTING):
        os.environ[TEMPORALITY_SETTING] = "delta"
    try:
        _set_up_sdk(environ.get("OTEL_SERVICE_NAME") or SERVICE)
    except ImportError:
        log.warning(
            "%s is set, but the packages for it are not installed: install the extra otel",
            next(name for name in ENDPOINT_SETTINGS if environ.get(name)),
        )
    except Exception as error:  # webhooks are sent even if the SDK refuses a setting
        log.warning("no metrics and traces: an OTEL_* variable is refused: %s", error)


def _set_up_sdk(service: str) -> None:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # The counters of one process are one series, so each process needs an id.
    resource = Resource.create({"service.name": service, "service.instance.id": str(uuid.uuid4())})
    traces = TracerProvider(resource=resource, shutdown_on_exit=False)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_SECONDS)))
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(timeout=EXPORT_SECONDS), export_interval_millis=EXPORT_EVERY_MS
    )
    metrics.set_meter_provider(MeterProvider([reader], resource, shutdown_on_exit=False))
    trace.set_tracer_provider(traces)


def record_span(name: Span, started_at: datetime, **attributes: str | int) -> None:
    """A span from ``started_at`` (naive UTC) to now."""
    began = int(started_at.replace(tzinfo=UTC).timestamp() * 1e9)
    trace.get_tracer(SERVICE).start_span(name, start_time=began, attributes=attributes).end()


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    """Record how many seconds the block takes, even if it raises."""
    started = time.monotonic()
    try:
        yield
    finally:
        histogram.record(time.monotonic() - started)


def flush() -> None:
    """Export what is buffered: a run's process ends soon after, and the rest would be lost.

    It takes at most ``FLUSH_SECONDS``; the exporter logs failures.
    """
    # Threads, because the SDK waits for an export that hangs, whatever timeout it is given.
    parts = [threading.Thread(target=one, daemon=True) for one in _flushes()]
    deadline = time.monotonic() + FLUSH_SECONDS
    for part in parts:
        part.start()
    for part in parts:
        part.join(max(0.0, deadline - time.monotonic()))


def _flushes() -> list[Callable[[], object]]:
    providers = (metrics.get_meter_provider(), trace.get_tracer_provider())
    found = (getattr(one, "force_flush", None) for one in providers)
    return [one for one in found if one is not None]
