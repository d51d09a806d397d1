"""Metrics and traces, when somebody collects them; nothing, at next to no cost, when nobody does.

They are on when ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set and the extra ``otel`` is installed. No
failure of theirs may stop or slow a webhook: exporting happens beside the work and has a deadline.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from typing import Protocol

from sync.observability.instruments import Instrument

log = logging.getLogger(__name__)

ENDPOINT_SETTINGS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
DISABLED_SETTING = "OTEL_SDK_DISABLED"
EXTRA = "opentelemetry.exporter.otlp.proto.http"


class Telemetry(Protocol):
    """What the code may say; attributes are those that the instrument names."""

    @property
    def is_on(self) -> bool:
        """Whether anybody listens, for what costs something to find out."""
        ...

    def count(self, instrument: Instrument, number: int = 1, **attributes: str | int) -> None: ...

    def record(self, instrument: Instrument, value: float, **attributes: str | int) -> None: ...

    def span(self, name: str, started_at: datetime, **attributes: str | int) -> None:
        """Something that began at ``started_at`` (naive UTC) and ends now."""
        ...

    def flush(self) -> None:
        """Send what there is. A run's process ends soon after, and takes along what is left."""
        ...


class Silent:
    """Nobody listens."""

    is_on = False

    def count(self, instrument: Instrument, number: int = 1, **attributes: str | int) -> None: ...

    def record(self, instrument: Instrument, value: float, **attributes: str | int) -> None: ...

    def span(self, name: str, started_at: datetime, **attributes: str | int) -> None: ...

    def flush(self) -> None: ...


_current: Telemetry = Silent()


def current() -> Telemetry:
    """The telemetry of this process."""
    return _current


def use(telemetry: Telemetry) -> Telemetry:
    """Make it the one of this process; the one before."""
    global _current
    before, _current = _current, telemetry
    return before


def start(environ: Mapping[str, str]) -> Telemetry:
    """Begin to listen as the environment says; once begun, it stays."""
    if not _current.is_on and is_wanted(environ):
        if find_spec("opentelemetry.sdk") is None or find_spec(EXTRA) is None:
            log.warning(
                "%s is set, but the packages for it are not installed: install the extra otel",
                next(name for name in ENDPOINT_SETTINGS if environ.get(name)),
            )
        else:
            from sync.observability.telemetry_otel import OpenTelemetry

            use(OpenTelemetry.over_otlp(environ))
    return _current


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a collector and does not switch it off."""
    is_disabled = environ.get(DISABLED_SETTING, "").lower() == "true"
    return not is_disabled and any(environ.get(name) for name in ENDPOINT_SETTINGS)


@contextmanager
def timed(instrument: Instrument, **attributes: str | int) -> Iterator[None]:
    """Record how many seconds the block takes, errors included."""
    started = time.monotonic()
    try:
        yield
    finally:
        _current.record(instrument, time.monotonic() - started, **attributes)
