"""What the code has said to OpenTelemetry, read back in a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sync.observability import telemetry
from sync.observability.instruments import Instrument
from sync.observability.telemetry_otel import OpenTelemetry

Labels = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Heard:
    """Metrics and spans of one block."""

    reader: InMemoryMetricReader
    exporter: InMemorySpanExporter

    def points(self, instrument: Instrument) -> dict[Labels, float]:
        """By attributes: the sum of a counter, the count of a histogram, the value of a gauge."""
        data = self.reader.get_metrics_data()
        found: dict[Labels, float] = {}
        for resource in data.resource_metrics if data else []:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == instrument.name:
                        assert metric.unit == instrument.unit
                        for point in metric.data.data_points:
                            labels = tuple(sorted((point.attributes or {}).items()))
                            number = getattr(point, "count", None)
                            found[labels] = number if number is not None else point.value  # pyright: ignore[reportAttributeAccessIssue]
        return found

    def spans(self) -> Counter[str]:
        """How many spans of each name."""
        return Counter(span.name for span in self.exporter.get_finished_spans())

    def everything(self) -> str:
        """All that would leave this process, as text."""
        data = self.reader.get_metrics_data()
        spans = [span.to_json() for span in self.exporter.get_finished_spans()]
        return "\n".join([data.to_json() if data else "", *spans])


@contextmanager
def listening() -> Iterator[Heard]:
    """Hear what this process says, with the SDK's own readers."""
    heard = Heard(InMemoryMetricReader(), InMemorySpanExporter())
    speaking = OpenTelemetry(
        readers=[heard.reader],
        spans=[SimpleSpanProcessor(heard.exporter)],
        resource=Resource.create({}),
    )
    before = telemetry.use(speaking)
    try:
        yield heard
    finally:
        telemetry.use(before)
        speaking.close()
