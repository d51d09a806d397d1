"""What a run says about itself to logs and metrics; the steps call it between batches only."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sync.ledger.tables import ATTEMPTS as ATTEMPTS_TABLE
from sync.ledger.tables import OUTBOX as OUTBOX_TABLE
from sync.observability import event_log, telemetry
from sync.observability.instruments import (
    ATTEMPT_DURATION,
    ATTEMPTS,
    COMPUTED_THROUGH_AGE,
    DEAD_LETTERS,
    DELIVERY_LATENCY,
    DETECTED,
    MESSAGES,
    OLDEST_DUE,
    OUTBOX,
    RECOVERED,
    RESTING,
    RETRIES,
)
from sync.warehouse import Warehouse

if TYPE_CHECKING:
    from sync.delivery.build import FreezeReport
    from sync.delivery.record import Detected
    from sync.delivery.sender import DispatchReport
    from sync.ledger.attempts import Attempt

MOST_LINES = 1_000
"""Lines for single webhooks that a run writes at level INFO; of the rest it writes the number."""


@dataclass
class Watch:
    """One step of one run."""

    run_id: str
    lines: int = 0
    left_out: int = 0

    def detected(self, event: str, outcome: Detected) -> None:
        """What detection found; ``event`` is completions or enrollments."""
        from sync.delivery.record import Enqueued, HeldBack, LeftToAnother

        match outcome:
            case HeldBack(found=found):
                counts = {"held_back": found}
            case Enqueued(awaiting=awaiting, suppressed=suppressed):
                counts = {"recorded": awaiting, "suppressed": suppressed}
            case LeftToAnother():
                counts = {}
        for name, number in counts.items():
            telemetry.current().count(DETECTED, number, event=event, outcome=name)
            self._tell(event, name, number)

    def froze(self, report: FreezeReport) -> None:
        """What became of the messages."""
        for name in ("frozen", "waiting", "held", "suppressed"):
            for reason, number in getattr(report, name).items():
                telemetry.current().count(MESSAGES, number, outcome=name, reason=str(reason))
                self._tell("messages", name, number, reason=str(reason))

    def batch(self, attempts: Sequence[Attempt]) -> None:
        """What a batch has sent: metrics for all, lines for failures, at DEBUG for all."""
        meter = telemetry.current()
        for one in attempts:
            kind = one.decision.error_kind.value if one.decision.error_kind else None
            self._tell_attempt(one, kind)
            if meter.is_on:
                endpoint_id = one.claimed.endpoint_id
                meter.count(ATTEMPTS, endpoint_id=endpoint_id, outcome=one.outcome)
                meter.record(ATTEMPT_DURATION, one.result.duration_ms / 1_000, outcome=one.outcome)
                if one.outcome == "retry":
                    meter.count(RETRIES, endpoint_id=endpoint_id, error_kind=kind or "none")
                elif one.outcome == "dead":
                    meter.count(DEAD_LETTERS, endpoint_id=endpoint_id, reason=str(one.reason))
        if attempts and meter.is_on:
            began = min(one.started_at for one in attempts)
            meter.span("batch", began, run_id=self.run_id, webhooks=len(attempts))

    def delivered(self, warehouse: Warehouse, report: DispatchReport) -> None:
        """The end of a delivery run. Asks the ledger only when somebody collects metrics."""
        if self.left_out:
            self._tell("webhooks", "not_logged", self.left_out)
        for name, number in report.outcomes.items():
            self._tell("attempts", name, number)
        meter = telemetry.current()
        if not meter.is_on:
            return
        meter.count(RECOVERED, report.recovered)
        for seconds, number in latencies(warehouse, self.run_id).items():
            for _ in range(number):
                meter.record(DELIVERY_LATENCY, seconds)
        _gauges(warehouse)

    def _tell_attempt(self, one: Attempt, error_kind: str | None) -> None:
        level = logging.DEBUG if one.outcome == "delivered" else logging.INFO
        logger = logging.getLogger(event_log.LOGGER)
        if not logger.isEnabledFor(level):
            return
        if self.lines >= MOST_LINES and not logger.isEnabledFor(logging.DEBUG):
            self.left_out += 1
            return
        self.lines += 1
        event_log.tell(
            f"webhook {one.outcome}",
            level=level,
            event="attempt",
            run_id=self.run_id,
            webhook_id=one.claimed.webhook_id,
            endpoint_id=one.claimed.endpoint_id,
            outcome=one.outcome,
            reason=one.reason,
            status=getattr(one.result, "status", None),
            error_kind=error_kind,
            attempt=one.claimed.attempt_count + 1,
            duration_ms=one.result.duration_ms,
        )

    def _tell(self, event: str, outcome: str, count: int, *, reason: str | None = None) -> None:
        event_log.tell(
            f"{count} {event} {outcome}",
            event=event,
            run_id=self.run_id,
            outcome=outcome,
            count=count,
            reason=reason,
        )


@contextmanager
def watching(span: str, run_id: str, environ: Mapping[str, str] = os.environ) -> Iterator[Watch]:
    """Logs and metrics of one step, which are sent off at its end, whatever that is.

    Raises:
        ConfigurationError: a setting of the logs means nothing; names it.
    """
    event_log.start(environ)
    meter = telemetry.start(environ)
    began = datetime.now(UTC).replace(tzinfo=None)
    try:
        yield Watch(run_id)
    finally:
        meter.span(span, began, run_id=run_id)
        meter.flush()


def latencies(warehouse: Warehouse, run_id: str) -> dict[int, int]:
    """Whole seconds from being recorded to the 2xx; how many webhooks of the run took each."""
    rows = warehouse.rows(
        f"""
        select datediff('second', outbox.recorded_at, outbox.delivered_at) as seconds, count(*) as n
        from {warehouse.relation("sync", OUTBOX_TABLE)} as outbox
        where outbox.delivered_at is not null and exists (
            select 1 from {warehouse.relation("sync", ATTEMPTS_TABLE)} as attempts
            where attempts.webhook_id = outbox.webhook_id
                and attempts.run_id = ?
                and attempts.outcome = 'delivered'
                and attempts.replay_id is null
        )
        group by seconds
        """,
        run_id,
    )
    return {max(int(row["seconds"]), 0): int(row["n"]) for row in rows}


def _gauges(warehouse: Warehouse) -> None:
    from sync.operations.status import read_status

    meter = telemetry.current()
    found = read_status(warehouse)
    for state in ("awaiting", "pending", "delivered", "held", "dead", "suppressed"):
        meter.record(OUTBOX, found.states.get(state, 0), state=state)
    meter.record(OLDEST_DUE, found.oldest_due_age_seconds or 0)
    meter.record(RESTING, len(found.endpoints_resting))
    if found.computed_through is not None:
        age = datetime.now(UTC).replace(tzinfo=None) - found.computed_through
        meter.record(COMPUTED_THROUGH_AGE, age.total_seconds())
