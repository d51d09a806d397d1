"""The one send path: schedule, sensor, retry, replay and test send all deliver through here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Protocol

from sync.addresses import AddressPolicy
from sync.attempts import Attempt, finalize
from sync.bulkheads import run_apart
from sync.clock import Clock
from sync.endpoints import disabled_endpoints, load_endpoints, record_health, unusable_endpoints
from sync.network import refusal_of
from sync.outbox import Claimed, Outbox
from sync.results import Answer, Failure
from sync.retry import RetryPolicy, Signal, decide
from sync.routing import Endpoint
from sync.secrets import SecretError, SecretStore
from sync.signing import SigningKey, headers_for
from sync.warehouse import Warehouse

LEASE_MARGIN = timedelta(seconds=30)
"""Room between the last moment a send may start and the end of the lease, beyond its deadline."""
TRIP_AFTER = 5
"""Failures in a row after which a run lets an endpoint rest; more would be knocking at a wall."""
REST = timedelta(seconds=60)


class Poster(Protocol):
    """Sends bytes to a URL under a total deadline and never raises for what an endpoint does."""

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Answer | Failure: ...


@dataclass(frozen=True, kw_only=True)
class DispatchLimits:
    """Bounds of one run."""

    batch_size: int = 500
    threads: int = 32
    per_endpoint: int = 4
    lease: timedelta = timedelta(minutes=10)
    time_budget: timedelta = timedelta(minutes=4)


@dataclass
class DispatchReport:
    """What one run sent."""

    attempts: list[Attempt] = field(default_factory=list)
    released: int = 0
    """Claimed and given back untried: the endpoint rests or the time was up."""
    unusable: dict[int, str] = field(default_factory=dict)
    """Endpoints whose webhooks are held, with the reason."""
    problems: dict[int, str] = field(default_factory=dict)
    """For each of those that has one, the setting to mend."""

    @property
    def unreadable_retry_after(self) -> list[int]:
        """Endpoints that sent a ``Retry-After`` header which means nothing; it was ignored."""
        return sorted(
            {
                attempt.claimed.endpoint_id
                for attempt in self.attempts
                if attempt.decision.is_retry_after_unreadable
            }
        )


def dispatch(
    warehouse: Warehouse,
    outbox: Outbox,
    *,
    run_id: str,
    clock: Clock,
    secrets: SecretStore,
    poster: Poster,
    policy: AddressPolicy,
    limits: DispatchLimits,
    on_batch: Callable[[Sequence[Attempt]], None] = lambda attempts: None,
) -> DispatchReport:
    """Send every due webhook, batch by batch, until none is due or the time budget is spent.

    A crash between two batches loses nothing and repeats nothing; one inside a batch repeats at
    most that batch's requests, under the same ids, once the lease has run out.

    Raises:
        StatementFailed: the ledger cannot be written, so sending stops: it could not be recorded.
    """
    run = _Run(warehouse, outbox, run_id, clock, secrets, poster, policy, limits)
    started = time.monotonic()
    while time.monotonic() - started < limits.time_budget.total_seconds():
        claimed = outbox.claim(limit=limits.batch_size, lease=limits.lease)
        if not claimed:
            break
        on_batch(run.send(claimed))
    return run.report


class _Run:
    """One run's view of the endpoints, and what it has learned about them."""

    def __init__(
        self,
        warehouse: Warehouse,
        outbox: Outbox,
        run_id: str,
        clock: Clock,
        secrets: SecretStore,
        poster: Poster,
        policy: AddressPolicy,
        limits: DispatchLimits,
    ) -> None:
        self._warehouse = warehouse
        self._outbox = outbox
        self._run_id = run_id
        self._clock = clock
        self._secrets = secrets
        self._poster = poster
        self._policy = policy
        self._limits = limits
        self._keys: dict[int, tuple[SigningKey, ...]] = {}
        self._failures_in_a_row: dict[int, int] = {}
        self._endpoints = load_endpoints(warehouse).by_id
        self.report = DispatchReport()
        self.report.unusable = unusable_endpoints(
            outbox.endpoints_in_use(),
            configured=self._endpoints,
            disabled=disabled_endpoints(warehouse),
            problem_of=self._problem_of,
        )
        outbox.hold_and_release(
            self.report.unusable, self._endpoints.keys() - self.report.unusable.keys()
        )

    def send(self, claimed: Sequence[Claimed]) -> list[Attempt]:
        """Send one batch under its lease, then write what came of it."""
        lease_end = time.monotonic() + self._limits.lease.total_seconds()
        attempts: list[Attempt] = []
        untried: list[Claimed] = []
        for row, attempt in run_apart(
            claimed,
            key=lambda one: one.endpoint_id,
            work=self._attempt,
            threads=self._limits.threads,
            per_key=self._limits.per_endpoint,
            may_start=lambda endpoint_id: self._may_start(endpoint_id, lease_end),
        ):
            if attempt is None:
                untried.append(row)
            else:
                attempts.append(attempt)
                self._count(attempt)
        finalize(self._warehouse, attempts, run_id=self._run_id, clock=self._clock)
        record_health(self._warehouse, attempts, clock=self._clock)
        self._outbox.release(untried, not_before=self._clock() + REST)
        self.report.attempts += attempts
        self.report.released += len(untried)
        return attempts

    def _attempt(self, claimed: Claimed) -> Attempt:
        """One request, signed at the last moment with the time of this attempt."""
        endpoint = self._endpoints[claimed.endpoint_id]
        keys = self._keys[claimed.endpoint_id]
        started_at = self._clock()
        headers = {"Content-Type": "application/json"} | headers_for(
            msg_id=claimed.webhook_id,
            timestamp=int(started_at.replace(tzinfo=UTC).timestamp()),
            body=claimed.body,
            keys=keys,
        )
        result = self._poster.post(
            endpoint.url,
            body=claimed.body,
            headers=headers,
            deadline_seconds=endpoint.timeout_seconds,
        )
        return Attempt(
            claimed=claimed,
            result=result,
            decision=decide(
                result,
                webhook_id=claimed.webhook_id,
                attempt_number=claimed.attempt_count + 1,
                now=self._clock(),
                policy=RetryPolicy(),
            ),
            started_at=started_at,
            signing_key_ids=" ".join(key.key_id for key in keys),
        )

    def _may_start(self, endpoint_id: int, lease_end: float) -> bool:
        if endpoint_id not in self._keys:
            # Frozen by another run after this one looked at its endpoints; the next run has it.
            return False
        if self._failures_in_a_row.get(endpoint_id, 0) >= TRIP_AFTER:
            return False
        deadline = self._endpoints[endpoint_id].timeout_seconds
        return time.monotonic() + deadline + LEASE_MARGIN.total_seconds() < lease_end

    def _count(self, attempt: Attempt) -> None:
        endpoint_id = attempt.claimed.endpoint_id
        match attempt.decision.signal:
            case Signal.SUCCESS:
                self._failures_in_a_row[endpoint_id] = 0
            case Signal.FAILURE:
                self._failures_in_a_row[endpoint_id] = (
                    self._failures_in_a_row.get(endpoint_id, 0) + 1
                )
            case Signal.NOTHING:
                pass

    def _problem_of(self, endpoint: Endpoint) -> str | None:
        """What keeps an endpoint from being sent to; its keys are read once a run."""
        refusal = refusal_of(endpoint.url, self._policy)
        if refusal is not None:
            self.report.problems[endpoint.endpoint_id] = f"webhook_url: {refusal}"
            return "endpoint_invalid"
        try:
            self._keys[endpoint.endpoint_id] = self._secrets.signing_keys(endpoint.endpoint_id)
        except SecretError as error:
            self.report.problems[endpoint.endpoint_id] = str(error)
            return "signing_key_missing"
        return None
