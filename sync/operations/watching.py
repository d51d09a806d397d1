"""What a run reports to logs and metrics; the steps call it between batches only."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sync import logs, telemetry
from sync.domain.states import State
from sync.ledger.tables import ATTEMPTS, OUTBOX
from sync.warehouse import Warehouse

if TYPE_CHECKING:
    from sync.delivery.build import BuildReport
    from sync.delivery.record import Detected
    from sync.delivery.send import SendReport
    from sync.domain.work import Attempt

MOST_LINES = 1_000
"""Lines about single webhooks that a run writes at level INFO; it writes the count of the rest."""


@dataclass
class Watch:
    """One step of one run."""

    run_id: str
    lines: int = 0
    left_out: int = 0

    def detected(self, event: str, outcome: Detected) -> None:
        """What detection found; ``event`` is completions or enrollments."""
        from sync.delivery.record import LeftToAnother, OverLimit, Recorded

        match outcome:
            case OverLimit(found=found):
                counts = {"held_back": found}
            case Recorded(awaiting=awaiting, suppressed=suppressed):
                counts = {"recorded": awaiting, "suppressed": suppressed}
            case LeftToAnother():
                counts = {}
        for name, number in counts.items():
            telemetry.DETECTED.add(number, {"event": event, "outcome": name})
            self._tell(event, name, number)

    def built(self, report: BuildReport) -> None:
        """The outcomes of building messages."""
        for name in ("built", "waiting", "held", "suppressed"):
            for reason, number in getattr(report, name).items():
                telemetry.MESSAGES.add(number, {"outcome": name, "reason": str(reason)})
                self._tell("messages", name, number, reason=str(reason))

    def batch(self, attempts: Sequence[Attempt]) -> None:
        """What a batch has sent: metrics for all, lines for failures, at DEBUG for all."""
        for one in attempts:
            kind = one.follow_up.error_kind.value if one.follow_up.error_kind else None
            self._tell_attempt(one, kind)
            endpoint_id = one.claim.endpoint_id
            seconds = one.result.duration_ms / 1_000
            telemetry.ATTEMPTS.add(1, {"endpoint_id": endpoint_id, "outcome": one.outcome})
            telemetry.ATTEMPT_DURATION.record(seconds, {"outcome": one.outcome})
            if one.outcome == "retry":
                retried = {"endpoint_id": endpoint_id, "error_kind": kind or "none"}
                telemetry.RETRIES.add(1, retried)
            elif one.outcome == State.DEAD:
                dead = {"endpoint_id": endpoint_id, "reason": str(one.follow_up.reason)}
                telemetry.DEAD_LETTERS.add(1, dead)
        if attempts:
            began = min(one.started_at for one in attempts)
            telemetry.record_span(
                telemetry.Span.BATCH, began, run_id=self.run_id, webhooks=len(attempts)
            )

    def delivered(self, warehouse: Warehouse, report: SendReport) -> None:
        """The end of a delivery run. Queries the ledger only if metrics are exported."""
        if self.left_out:
            self._tell("webhooks", "not_logged", self.left_out)
        for name, number in report.outcomes.items():
            self._tell("attempts", name, number)
        if not telemetry.is_exported():
            return
        telemetry.RECOVERED.add(report.recovered)
        for seconds, number in latencies(warehouse, self.run_id, since=report.began_at).items():
            for _ in range(number):
                telemetry.DELIVERY_LATENCY.record(seconds)
        _gauges(warehouse)

    def _tell_attempt(self, one: Attempt, error_kind: str | None) -> None:
        level = logging.DEBUG if one.outcome == State.DELIVERED else logging.INFO
        if not logs.LOGGER.isEnabledFor(level):
            return
        if self.lines >= MOST_LINES and not logs.LOGGER.isEnabledFor(logging.DEBUG):
            self.left_out += 1
            return
        self.lines += 1
        logs.write(
            f"webhook {one.outcome}",
            level=level,
            event="attempt",
            run_id=self.run_id,
            webhook_id=one.claim.webhook_id,
            endpoint_id=one.claim.endpoint_id,
            outcome=one.outcome,
            reason=one.follow_up.reason,
            status=getattr(one.result, "status", None),
            error_kind=error_kind,
            attempt=one.claim.attempt_number,
            duration_ms=one.result.duration_ms,
        )

    def _tell(self, event: str, outcome: str, count: int, *, reason: str | None = None) -> None:
        logs.write(
            f"{count} {event} {outcome}",
            event=event,
            run_id=self.run_id,
            outcome=outcome,
            count=count,
            reason=reason,
        )


@contextmanager
def watching(
    span: telemetry.Span, run_id: str, environ: Mapping[str, str] = os.environ
) -> Iterator[Watch]:
    """Logs and metrics of one step, which are flushed when it ends, even by a failure.

    Raises:
        ConfigurationError: a setting of the logs is invalid; names it.
    """
    logs.configure(environ)
    telemetry.start(environ)
    began = datetime.now(UTC).replace(tzinfo=None)
    try:
        yield Watch(run_id)
    finally:
        telemetry.record_span(span, began, run_id=run_id)
        telemetry.flush()


def latencies(warehouse: Warehouse, run_id: str, *, since: datetime) -> dict[int, int]:
    """Whole seconds from recording to the 2xx; how many webhooks of the run took each."""
    rows = warehouse.rows(
        f"""
        select datediff('second', outbox.recorded_at, outbox.delivered_at) as seconds, count(*) as n
        from {warehouse.relation("sync", OUTBOX)} as outbox
        where outbox.delivered_at >= cast(? as timestamp_ntz) and exists (
            select 1 from {warehouse.relation("sync", ATTEMPTS)} as attempts
            where attempts.webhook_id = outbox.webhook_id
                and attempts.started_at >= cast(? as timestamp_ntz)
                and attempts.run_id = ?
                and attempts.outcome = '{State.DELIVERED}'
                and attempts.replay_id is null
        )
        group by seconds
        """,
        since.isoformat(),
        since.isoformat(),
        run_id,
    )
    return {max(int(row["seconds"]), 0): int(row["n"]) for row in rows}


def _gauges(warehouse: Warehouse) -> None:
    from sync.operations.status import read_status

    found = read_status(warehouse)
    for state in State:
        telemetry.OUTBOX.set(found.states.get(state, 0), {"state": state.value})
    telemetry.OLDEST_DUE.set(found.oldest_due_age_seconds or 0)
    telemetry.BLOCKED.set(len(found.endpoints_blocked))
    if found.computed_through is not None:
        age = datetime.now(UTC).replace(tzinfo=None) - found.computed_through
        telemetry.COMPUTED_THROUGH_AGE.set(age.total_seconds())
