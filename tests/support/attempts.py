"""Attempts as a delivery run makes them, built from a result alone."""

from __future__ import annotations

from datetime import datetime

from sync.domain.responses import Failure, Response
from sync.domain.retry import follow_up
from sync.domain.work import Attempt, Claim

NOW = datetime(2026, 3, 12, 8, 0)


def attempt_of(
    result: Response | Failure,
    webhook_id: str = "id-1",
    *,
    endpoint_id: int = 1,
    fence: int = 1,
    attempt_count: int = 0,
    replay_id: str | None = None,
    run_id: str = "run-1",
    started_at: datetime = NOW,
) -> Attempt:
    """The outcome of a claim."""
    claim = Claim(webhook_id, endpoint_id, b"{}", attempt_count, fence, replay_id)
    return made(claim, result, run_id=run_id, started_at=started_at)


def made(
    claim: Claim,
    result: Response | Failure,
    *,
    run_id: str = "run-1",
    started_at: datetime = NOW,
    ended_at: datetime | None = None,
) -> Attempt:
    """The attempt that follows from a result; it ends when it started, unless told otherwise."""
    return Attempt(
        claim=claim,
        run_id=run_id,
        result=result,
        follow_up=follow_up(
            result,
            webhook_id=claim.webhook_id,
            attempt_number=claim.attempt_number,
            now=ended_at or started_at,
        ),
        started_at=started_at,
        signing_key_ids="",
    )
