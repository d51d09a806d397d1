"""Whose fault it is when nothing works: one endpoint's outage, or our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sync.http.results import Attribution, ErrorKind, Failure
from sync.ledger.attempts import Attempt
from sync.policies.retry import NoEffect, Signal, own_fault

UNREACHABLE = frozenset({ErrorKind.DNS, ErrorKind.CONNECT, ErrorKind.TIMEOUT})
SUSPICIOUS_ENDPOINTS = 3
"""So many unrelated endpoints do not fall silent within one batch by chance."""


def uncharge_own_network_fault(
    attempts: Sequence[Attempt], *, now: datetime, last_answer_at: datetime | None
) -> list[Attempt] | None:
    """The attempts with nothing charged, when it looks like our network; None when it does not.

    It does when nobody answered at all and at least ``SUSPICIOUS_ENDPOINTS`` endpoints could not
    be reached by requests that began after the last answer of the run. Otherwise an outage of
    ours would use up every customer's attempts and open every breaker. Requests from before that
    answer are charged: others were answered meanwhile.
    """

    def is_suspicious(attempt: Attempt) -> bool:
        return last_answer_at is None or attempt.started_at > last_answer_at

    if any(is_answered(one) for one in attempts):
        return None
    silent = {one.claimed.endpoint_id for one in attempts if is_suspicious(one)}
    if len(silent) < SUSPICIOUS_ENDPOINTS:
        return None
    return [_uncharged(one, now) if is_suspicious(one) else one for one in attempts]


def is_answered(attempt: Attempt) -> bool:
    """Whether the endpoint was reached, whatever came of it."""
    result = attempt.result
    return not (isinstance(result, Failure) and result.error_kind in UNREACHABLE)


def _uncharged(attempt: Attempt, now: datetime) -> Attempt:
    return replace(
        attempt,
        decision=replace(
            attempt.decision,
            outcome=own_fault(
                webhook_id=attempt.claimed.webhook_id,
                attempt_number=attempt.claimed.attempt_count + 1,
                now=now,
            ),
            effect=NoEffect(),
            signal=Signal.NOTHING,
            attribution=Attribution.OURS,
        ),
    )
