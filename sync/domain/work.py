"""The objects of a delivery: an event is recorded, a message built from it, a claim on it sent, and
the result is an attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from sync.domain.facts import Correction
from sync.domain.responses import Attribution, ErrorKind, Failure, Response
from sync.domain.retry import FollowUp
from sync.domain.states import Reason, State

Row = Mapping[str, Any]
CORRECTION_COLUMNS = (
    "corrects_webhook_id", "correction_number", "told_learning_time_seconds", "tolerance_seconds",
)  # fmt: skip
"""Columns of an event's row that are NULL unless it is a correction."""


@dataclass(frozen=True)
class Event:
    """A recorded event without a message, with the mart's current facts."""

    webhook_id: str
    event_type: str
    enterprise_customer_uuid: str
    user_id: int
    courserun_key: str
    facts: Mapping[str, Any] = field(repr=False)
    """Not stored in the ledger; empty when the mart no longer holds the event."""
    recorded_at: datetime
    state: State
    state_reason: str | None
    correction: Correction | None = None
    """Set for a correction, with the last number sent to its customer, per the mart now."""
    lost_endpoint_id: int | None = None
    """The deleted endpoint of a message that was built but never sent."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Event:
        """Read a row with these columns; its facts are JSON text or NULL."""
        row = dict(row)
        lost, facts = row.pop("lost_endpoint_id"), row.pop("facts")
        corrects, number, told, tolerance = (row.pop(name) for name in CORRECTION_COLUMNS)
        return cls(
            **{
                **row,
                "user_id": int(row["user_id"]),
                "facts": json.loads(facts or "{}"),
                "state": State(row["state"]),
                "lost_endpoint_id": None if lost is None else int(lost),
                "correction": None
                if corrects is None
                else Correction(
                    corrects=corrects,
                    number=int(number),
                    told_seconds=None if told is None else int(told),
                    tolerance_seconds=float(tolerance or 0),
                ),
            }
        )


@dataclass(frozen=True, kw_only=True)
class Message:
    """The message for an event: built once and sent unchanged at every attempt."""

    endpoint_id: int
    payload_format: str
    body: bytes = field(repr=False)
    enrichment_outcome: str
    """Why it has learning time or not: found, no_data, not_yet, unavailable, flag_off,
    not_in_rollout, endpoint_opted_out, not_a_completion."""
    learning_time_seconds: int | None
    learning_time_computed_through: datetime | None


@dataclass(frozen=True)
class Claim:
    """A message under a run's lease."""

    webhook_id: str
    endpoint_id: int
    body: bytes = field(repr=False)
    attempt_count: int
    """Charged attempts before this one."""
    fence: int
    replay_id: str | None = None
    """The operator's replay request that this try is for, if any."""
    payload_format: str = ""
    """The format of the message; unknown for a result read from a journal."""
    is_test: bool = False
    """Whether it is a sample, which is marked as a test and is not in the outbox."""

    @property
    def attempt_number(self) -> int:
        """The number that this attempt gets, from 1."""
        return self.attempt_count + 1


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of one claim: its result, and what follows from it."""

    claim: Claim
    run_id: str
    result: Response | Failure
    follow_up: FollowUp
    started_at: datetime
    signing_key_ids: str
    """Ids of the keys that signed, newest first, separated by spaces; empty when none did."""

    @property
    def key(self) -> tuple[str, int]:
        """Webhook id and fence: the key that makes recording an attempt idempotent."""
        return self.claim.webhook_id, self.claim.fence

    @property
    def finished_at(self) -> datetime:
        """When the attempt ended."""
        return self.started_at + timedelta(milliseconds=self.result.duration_ms)

    @property
    def outcome(self) -> str:
        """The ledger's name for it: delivered, retry or dead; held when nothing was sent."""
        state = self.follow_up.state
        return "retry" if state is State.PENDING else state.value

    @property
    def is_sent(self) -> bool:
        """Whether a request was sent, so that there is something to record."""
        return self.follow_up.state is not State.HELD

    @property
    def proves_network(self) -> bool:
        """Whether the request got so far that our own network must work."""
        return not isinstance(self.result, Failure) or self.result.reached.proves_network

    @cached_property
    def rows(self) -> tuple[Row, Row]:
        """Everything that must survive a crash: the row of ``webhook_attempts``, and the changes to
        the row of ``webhook_outbox``. Values are JSON; journal and ledger are written from them."""
        claim, result, follow_up = self.claim, self.result, self.follow_up
        is_response = isinstance(result, Response)
        is_delivered = follow_up.state is State.DELIVERED
        attempt = {
            "webhook_id": claim.webhook_id,
            "endpoint_id": claim.endpoint_id,
            "fence": claim.fence,
            "attempt_number": claim.attempt_number,
            "run_id": self.run_id,
            "started_at": self.started_at.isoformat(),
            "duration_ms": result.duration_ms,
            "status_code": result.status if is_response else None,
            "outcome": self.outcome,
            "error_kind": follow_up.error_kind,
            "attribution": follow_up.attribution,
            "response_excerpt": result.excerpt if is_response else result.detail,
            "signing_key_ids": self.signing_key_ids,
            "replay_id": claim.replay_id,
        }
        outbox = {
            "webhook_id": claim.webhook_id,
            "fence": claim.fence,
            "state": follow_up.state,
            "reason": follow_up.reason,
            "attempt_count": claim.attempt_count + int(follow_up.is_charged),
            "next_attempt_at": _text(follow_up.next_attempt_at),
            "delivered_at": _text(self.finished_at if is_delivered else None),
            "is_own_fault": not follow_up.is_charged,
        }
        return attempt, outbox

    @classmethod
    def from_rows(cls, attempt: Row, outbox: Row) -> Attempt:
        """Read ``rows`` back: an attempt that is recorded the same way.

        It has no body, and only the rows' data about its endpoint.

        Raises:
            ValueError, TypeError, KeyError: the rows are from another version.
        """
        kind, attribution = attempt["error_kind"], attempt["attribution"]
        next_at, reason = outbox["next_attempt_at"], outbox["reason"]
        follow_up = FollowUp(
            state=State(outbox["state"]),
            reason=None if reason is None else Reason(reason),
            next_attempt_at=None if next_at is None else datetime.fromisoformat(next_at),
            is_charged=not outbox["is_own_fault"],
            error_kind=None if kind is None else ErrorKind(kind),
            attribution=None if attribution is None else Attribution(attribution),
        )
        status, excerpt, took = (
            attempt["status_code"],
            attempt["response_excerpt"],
            attempt["duration_ms"],
        )
        return cls(
            claim=Claim(
                webhook_id=attempt["webhook_id"],
                endpoint_id=attempt["endpoint_id"],
                body=b"",
                attempt_count=attempt["attempt_number"] - 1,
                fence=attempt["fence"],
                replay_id=attempt["replay_id"],
            ),
            run_id=attempt["run_id"],
            result=(
                Response(status, None, excerpt, took)
                if status is not None
                else Failure(ErrorKind(kind), Attribution(attribution), excerpt, took)
            ),
            follow_up=follow_up,
            started_at=datetime.fromisoformat(attempt["started_at"]),
            signing_key_ids=attempt["signing_key_ids"],
        )


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
