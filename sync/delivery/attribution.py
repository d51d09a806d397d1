"""Decide from evidence whether silence is an endpoint's outage or our own.

A completed connection, a refusal and an unknown name prove that our network works
(``domain.responses.Reached``). Silence proves nothing, so it is charged to the endpoint unless
there is more evidence of an outage on our side than several silent hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sync.domain.responses import Attribution, ErrorKind, Failure, Reached
from sync.domain.retry import after_sender_error, follow_up
from sync.domain.work import Attempt

SUSPICIOUS_HOSTS = 3
"""Hosts that share neither a name nor an address: this many do not go silent together by chance."""

Canary = Callable[[], bool | None]
"""Whether a host that must be reachable from here responds; None when none is configured."""


@dataclass(frozen=True)
class Attributed:
    """Attempts as they will be recorded."""

    attempts: Sequence[Attempt]
    is_own_network_down: bool
    is_changed: bool
    """Whether any attempt will be recorded differently from how it was first classified."""


def attribute(
    attempts: Sequence[Attempt],
    *,
    now: datetime,
    worked_at: datetime | None,
    reaches_network: Canary,
) -> Attributed:
    """Charge silence to the endpoints, or charge none of it when our own network is down.

    Only requests that started after the last proof that our network works (``worked_at``, if there
    was one before these attempts) can be due to an outage on our side: during the others another
    host was reached. When at least ``SUSPICIOUS_HOSTS`` hosts are silent, or the system reports no
    route to one, the canary is tried. If it responds, the failure is the endpoints'. If it does not
    and at least that many hosts are silent, the failure is ours. Without a canary it is ours only
    if this system has no route to any of them: any other silence is charged, or a customer's dead
    hosts would be retried forever.
    """
    if not any(_is_silent(one) for one in attempts):
        return Attributed(attempts, is_own_network_down=False, is_changed=False)
    proven = network_worked_at(attempts, worked_at)
    suspicious = {
        id(one)
        for one in attempts
        if _is_silent(one) and (proven is None or one.started_at > proven)
    }
    silent = [one for one in attempts if id(one) in suspicious]
    is_widespread = count_hosts(silent) >= SUSPICIOUS_HOSTS
    is_blamed_on_us = any(_is_ours(one) for one in silent)
    works = reaches_network() if is_widespread or is_blamed_on_us else None
    is_down = is_widespread and (
        works is False or (works is None and all(_has_no_way(one) for one in silent))
    )

    def attributed(one: Attempt) -> Attempt:
        if id(one) in suspicious:
            if is_down:
                return _uncharged(one, now)
            return _charged(one) if works else one
        return _charged(one) if _is_silent(one) else one

    after = [attributed(one) for one in attempts]
    is_changed = any(one is not other for one, other in zip(after, attempts, strict=True))
    return Attributed(after, is_own_network_down=is_down, is_changed=is_changed)


def network_worked_at(attempts: Iterable[Attempt], before: datetime | None) -> datetime | None:
    """When one of the attempts, or one before them, last proved that our network works."""
    times = [_proven_at(one) for one in attempts if one.proves_network]
    return max(times if before is None else [*times, before], default=None)


def count_hosts(attempts: Iterable[Attempt]) -> int:
    """How many hosts the attempts were for; names that share an address count as one host."""
    groups: list[frozenset[str]] = []
    for one in attempts:
        result = one.result
        hosts = result.hosts if isinstance(result, Failure) else frozenset()
        if hosts:
            related = [group for group in groups if group & hosts]
            groups = [group for group in groups if not group & hosts]
            groups.append(hosts.union(*related))
    return len(groups)


def _proven_at(attempt: Attempt) -> datetime:
    """When an attempt proved the network: for a timeout its start, since its end proves nothing."""
    result = attempt.result
    is_timeout = isinstance(result, Failure) and result.error_kind is ErrorKind.TIMEOUT
    return attempt.started_at if is_timeout else attempt.finished_at


def _is_silent(attempt: Attempt) -> bool:
    result = attempt.result
    return isinstance(result, Failure) and result.reached in (Reached.NOTHING, Reached.NO_ROUTE)


def _is_ours(attempt: Attempt) -> bool:
    return attempt.follow_up.attribution is Attribution.SENDER


def _has_no_way(attempt: Attempt) -> bool:
    """Whether this system has no network to the host.

    False where a router may have reported the host unreachable, or where the host has only IPv6
    addresses and this system only IPv4: those failures are the endpoint's.
    """
    result = attempt.result
    return isinstance(result, Failure) and result.reached is Reached.NO_ROUTE and _is_ours(attempt)


def _uncharged(attempt: Attempt, now: datetime) -> Attempt:
    claim = attempt.claim
    return replace(
        attempt,
        follow_up=after_sender_error(
            attempt.follow_up.error_kind,
            webhook_id=claim.webhook_id,
            attempt_number=claim.attempt_number,
            now=now,
        ),
    )


def _charged(attempt: Attempt) -> Attempt:
    """The attempt as the endpoint's failure, if it had been classified as a sender error."""
    result, claim = attempt.result, attempt.claim
    if not isinstance(result, Failure) or not _is_ours(attempt):
        return attempt
    is_internal = result.error_kind is ErrorKind.INTERNAL
    theirs = replace(
        result,
        error_kind=ErrorKind.CONNECT if is_internal else result.error_kind,
        attribution=Attribution.RECEIVER,
    )
    return replace(
        attempt,
        result=theirs,
        follow_up=follow_up(
            theirs,
            webhook_id=claim.webhook_id,
            attempt_number=claim.attempt_number,
            now=attempt.finished_at,
        ),
    )
