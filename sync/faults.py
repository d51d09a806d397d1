"""Whose fault it is when nothing works: one endpoint's outage, or our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sync.attempts import Attempt
from sync.results import Attribution, ErrorKind, Failure
from sync.retry import NoEffect, Signal, own_fault

UNREACHABLE = frozenset({ErrorKind.DNS, ErrorKind.CONNECT, ErrorKind.TIMEOUT})
SUSPICIOUS_ENDPOINTS = 3
"""So many unrelated endpoints do not fall silent within one batch by chance."""


def uncharge_own_network_fault(
    attempts: Sequence[Attempt], *, now: datetime
) -> list[Attempt] | None:
    """The batch with nothing charged, when it looks like our network; None when it does not.

    It does when nobody answered at all and at least ``SUSPICIOUS_ENDPOINTS`` endpoints could not
    be reached. Otherwise an outage of ours would use up every customer's attempts and open every
    breaker.
    """
    silent = [one for one in attempts if _is_unreachable(one)]
    if len(silent) < len(attempts):
        return None
    if len({one.claimed.endpoint_id for one in silent}) < SUSPICIOUS_ENDPOINTS:
        return None
    return [_uncharged(one, now) for one in attempts]


def _is_unreachable(attempt: Attempt) -> bool:
    return isinstance(attempt.result, Failure) and attempt.result.error_kind in UNREACHABLE


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
