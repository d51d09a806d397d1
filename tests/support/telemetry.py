"""What the code reported to OpenTelemetry, read back in a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import metrics, trace
from opentelemetry.metrics import NoOpMeterProvider, _internal
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider

Labels = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Heard:
    """Metrics and spans of one block."""

    reader: InMemoryMetricReader
    exporter: InMemorySpanExporter

    def metrics(self) -> dict[str, Metric]:
        """By name."""
        data = self.reader.get_metrics_data()
        resources = data.resource_metrics if data else []
        scopes = [scope for resource in resources for scope in resource.scope_metrics]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> dict[Labels, float]:
        """By attributes: the sum of a counter, the count of a histogram, the value of a gauge."""
        found: dict[Labels, float] = {}
        metric = self.metrics().get(name)
        for point in metric.data.data_points if metric else []:
            labels = tuple(sorted((point.attributes or {}).items()))
            number = getattr(point, "count", None)
            found[labels] = number if number is not None else point.value  # pyright: ignore[reportAttributeAccessIssue]
        return found

    def spans(self) -> Counter[str]:
        """Number of spans by name."""
        return Counter(span.name for span in self.exporter.get_finished_spans())

    def everything(self) -> str:
        """Everything that would leave this process, as text."""
        data = self.reader.get_metrics_data()
        spans = [span.to_json() for span in self.exporter.get_finished_spans()]
        return "\n".join([data.to_json() if data else "", *spans])


@contextmanager
def listening() -> Iterator[Heard]:
    """Record this process's telemetry with the SDK's readers."""
    heard = Heard(InMemoryMetricReader(), InMemorySpanExporter())
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(heard.exporter))
    with nobody_listens():
        metrics.set_meter_provider(MeterProvider([heard.reader]))
        trace.set_tracer_provider(traces)
        yield heard


@contextmanager
def nobody_listens() -> Iterator[None]:
    """Reset telemetry after the block, whatever it sets up."""
    _forget()
    try:
        yield
    finally:
        for provider in (metrics.get_meter_provider(), trace.get_tracer_provider()):
            getattr(provider, "shutdown", lambda: None)()
        _forget()
        metrics.set_meter_provider(NoOpMeterProvider())
        trace.set_tracer_provider(NoOpTracerProvider())
        _forget()


def _forget() -> None:
    # A process may set its providers once; tests take turns in one process.
    _internal._METER_PROVIDER_SET_ONCE._done = False
    trace._TRACER_PROVIDER_SET_ONCE._done = False
