"""Every metric of this project: name, kind, unit, attributes. docs/observability.md explains them.

Units are those of OpenTelemetry: ``s`` is seconds, ``{webhook}`` counts webhooks. Attributes have
few values: endpoints number hundreds, and no learner, course run or webhook is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper bounds of buckets for one request or statement."""
LONG_SECONDS = (1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400)
"""Upper bounds of buckets for how long a webhook took, waits and retries included."""


@dataclass(frozen=True)
class Instrument:
    """One metric."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    attributes: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


DETECTED = Instrument("ltw.detected", "counter", "{event}", ("event", "outcome"))
MESSAGES = Instrument("ltw.messages", "counter", "{webhook}", ("outcome", "reason"))
ATTEMPTS = Instrument("ltw.attempts", "counter", "{attempt}", ("endpoint_id", "outcome"))
RETRIES = Instrument("ltw.retries", "counter", "{attempt}", ("endpoint_id", "error_kind"))
DEAD_LETTERS = Instrument("ltw.dead_letters", "counter", "{webhook}", ("endpoint_id", "reason"))
RECOVERED = Instrument("ltw.recovered", "counter", "{attempt}")
ATTEMPT_DURATION = Instrument("ltw.attempt.duration", "histogram", "s", ("outcome",), SECONDS)
DELIVERY_LATENCY = Instrument("ltw.delivery.latency", "histogram", "s", (), LONG_SECONDS)
LOOKUP_DURATION = Instrument("ltw.lookup.duration", "histogram", "s", (), SECONDS)
OUTBOX = Instrument("ltw.outbox.webhooks", "gauge", "{webhook}", ("state",))
OLDEST_DUE = Instrument("ltw.outbox.oldest_due", "gauge", "s")
RESTING = Instrument("ltw.endpoints.resting", "gauge", "{endpoint}")
COMPUTED_THROUGH_AGE = Instrument("ltw.learning_time.age", "gauge", "s")

INSTRUMENTS = (
    DETECTED,
    MESSAGES,
    ATTEMPTS,
    RETRIES,
    DEAD_LETTERS,
    RECOVERED,
    ATTEMPT_DURATION,
    DELIVERY_LATENCY,
    LOOKUP_DURATION,
    OUTBOX,
    OLDEST_DUE,
    RESTING,
    COMPUTED_THROUGH_AGE,
)
SPANS = ("detect", "freeze", "deliver", "batch")
"""Names of the spans: the three steps of a run, and each batch of the last."""
