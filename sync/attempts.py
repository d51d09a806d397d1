"""The record of an attempt, and how a batch of them enters the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.claims import Claimed
from sync.clock import Clock
from sync.journal import Entry
from sync.ledger import ATTEMPTS, OUTBOX
from sync.results import Answer, Failure
from sync.retry import Dead, Decision, Delivered, Held, RetryAt
from sync.steps import Hook, Step
from sync.warehouse import Warehouse

HELD_RECHECK = timedelta(hours=1)
"""A refused target is looked at again after this time, in case its owner has mended it."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of one webhook: what was done, what came back, and what follows."""

    claimed: Claimed
    result: Answer | Failure
    decision: Decision
    started_at: datetime
    signing_key_ids: str
    """Ids of the keys that signed, newest first, separated by blanks; empty when none did."""

    @property
    def state(self) -> str:
        """The outbox state that follows."""
        match self.decision.outcome:
            case Delivered():
                return "delivered"
            case RetryAt():
                return "pending"
            case Dead():
                return "dead"
            case Held():
                return "held"

    @property
    def outcome(self) -> str:
        """The attempt's outcome as the ledger names it."""
        return "retry" if self.state == "pending" else self.state

    @property
    def reason(self) -> str | None:
        """Why the row is dead or held."""
        match self.decision.outcome:
            case Dead(reason) | Held(reason):
                return reason
            case Delivered() | RetryAt():
                return None

    @property
    def is_charged(self) -> bool:
        """Whether the attempt counts for the customer's schedule; faults of ours never do."""
        match self.decision.outcome:
            case RetryAt(charged=charged):
                return charged
            case Held():
                return False
            case Delivered() | Dead():
                return True

    @property
    def finished_at(self) -> datetime:
        """When the attempt ended."""
        return self.started_at + timedelta(milliseconds=self.result.duration_ms)


def ledger_entry(attempt: Attempt, *, run_id: str) -> Entry:
    """The attempt as the rows that the ledger gets; all that must survive a crash."""
    return Entry(_attempt_row(attempt, run_id), _state_row(attempt))


def finalize(warehouse: Warehouse, entries: Sequence[Entry], *, clock: Clock, hook: Hook) -> None:
    """Append the attempts and move their rows, together or not at all; repeating it is harmless.

    A result whose fence has fallen behind may not reschedule, kill or hold the row. A 2xx counts
    even then: the receiver has the message. A row that was delivered stays delivered, whatever a
    replay of it met.
    """
    if not entries:
        return
    outbox = warehouse.relation("sync", OUTBOX)
    log = warehouse.relation("sync", ATTEMPTS)
    with warehouse.transaction():
        warehouse.bulk(
            f"""
            insert into {log} (
                webhook_id, endpoint_id, fence, attempt_number, run_id, started_at, duration_ms,
                status_code, outcome, error_kind, attribution, response_excerpt, signing_key_ids
            )
            select
                made.value:webhook_id::varchar,
                made.value:endpoint_id::number(38, 0),
                made.value:fence::number(38, 0),
                made.value:attempt_number::number(38, 0),
                made.value:run_id::varchar,
                made.value:started_at::varchar::timestamp_ntz,
                made.value:duration_ms::number(38, 0),
                made.value:status_code::number(38, 0),
                made.value:outcome::varchar,
                made.value:error_kind::varchar,
                made.value:attribution::varchar,
                made.value:response_excerpt::varchar,
                made.value:signing_key_ids::varchar
            from table(flatten(input => parse_json(?))) as made
            where not exists (
                select 1 from {log} as logged
                where logged.webhook_id = made.value:webhook_id::varchar
                    and logged.fence = made.value:fence::number(38, 0)
            )
            """,
            (entry.attempt for entry in entries),
        )
        hook(Step.ATTEMPTS_LOGGED)
        warehouse.bulk(
            f"""
            update {outbox} as outbox
            set
                state = attempt.state,
                state_reason = attempt.reason,
                attempt_count = greatest(outbox.attempt_count, attempt.attempt_count),
                next_attempt_at = attempt.next_attempt_at,
                delivered_at = attempt.delivered_at,
                lease_owner = null,
                lease_expires_at = null,
                updated_at = cast(? as timestamp_ntz)
            from (
                select
                    value:webhook_id::varchar as webhook_id,
                    value:fence::number(38, 0) as fence,
                    value:state::varchar as state,
                    value:reason::varchar as reason,
                    value:attempt_count::number(38, 0) as attempt_count,
                    value:next_attempt_at::varchar::timestamp_ntz as next_attempt_at,
                    value:delivered_at::varchar::timestamp_ntz as delivered_at
                from table(flatten(input => parse_json(?)))
            ) as attempt
            where outbox.webhook_id = attempt.webhook_id
                and outbox.state <> 'delivered'
                and (outbox.fence = attempt.fence or attempt.state = 'delivered')
            """,
            (entry.state for entry in entries),
            before=(clock().isoformat(),),
        )


def _attempt_row(attempt: Attempt, run_id: str) -> dict[str, object]:
    claimed, result, decision = attempt.claimed, attempt.result, attempt.decision
    return {
        "webhook_id": claimed.webhook_id,
        "endpoint_id": claimed.endpoint_id,
        "fence": claimed.fence,
        "attempt_number": claimed.attempt_count + 1,
        "run_id": run_id,
        "started_at": attempt.started_at.isoformat(),
        "duration_ms": result.duration_ms,
        "status_code": result.status if isinstance(result, Answer) else None,
        "outcome": attempt.outcome,
        "error_kind": decision.error_kind,
        "attribution": decision.attribution,
        "response_excerpt": result.excerpt if isinstance(result, Answer) else result.detail,
        "signing_key_ids": attempt.signing_key_ids,
    }


def _state_row(attempt: Attempt) -> dict[str, object]:
    """``next_attempt_at`` of a held row is the earliest moment it may be freed again."""
    outcome = attempt.decision.outcome
    next_at = outcome.at if isinstance(outcome, RetryAt) else None
    if isinstance(outcome, Held):
        next_at = attempt.finished_at + HELD_RECHECK
    return {
        "webhook_id": attempt.claimed.webhook_id,
        "fence": attempt.claimed.fence,
        "state": attempt.state,
        "reason": attempt.reason,
        "attempt_count": attempt.claimed.attempt_count + int(attempt.is_charged),
        "next_attempt_at": next_at.isoformat() if next_at else None,
        "delivered_at": attempt.finished_at.isoformat() if attempt.state == "delivered" else None,
    }
