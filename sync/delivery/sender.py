"""What a delivery run is given, and what it reports."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from sync.clock import Clock
from sync.delivery.faults import Canary
from sync.domain.responses import Failure, Response
from sync.domain.states import Reason, State
from sync.http.addresses import AddressPolicy
from sync.http.oauth import TokenPoster
from sync.http.secrets import SecretStore
from sync.ledger.attempts import Attempt
from sync.ledger.journal import ForeignJournal
from sync.ledger.steps import Hook, nothing

SAMPLE = 50


class Poster(TokenPoster, Protocol):
    """Sends bytes to a URL under a total deadline and never raises for what an endpoint does."""

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Response | Failure: ...


@dataclass(frozen=True, kw_only=True)
class DispatchLimits:
    """Bounds of one run."""

    batch_size: int = 1_000
    threads: int = 32
    per_endpoint: int = 4
    lease: timedelta = timedelta(minutes=10)
    time_budget: timedelta = timedelta(minutes=4)
    linger: timedelta = timedelta(0)
    """How long to wait for a retry or a slot that comes due soon, instead of leaving it."""


@dataclass(frozen=True, kw_only=True)
class Sender:
    """What a run needs beside the warehouse."""

    run_id: str
    clock: Clock
    secrets: SecretStore
    poster: Poster
    policy: AddressPolicy
    journal_directory: Path
    limits: DispatchLimits = DispatchLimits()
    canary: Canary = lambda: None
    """Asked before our own network is blamed for silence; see ``sending.faults``."""
    hook: Hook = nothing


@dataclass
class DispatchReport:
    """What one run sent. It stays small however much that is."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Attempts by outcome: delivered, retry, dead, held."""
    durations_ms: array[int] = field(default_factory=lambda: array("Q"))
    """How long each attempt took."""
    sample: list[Attempt] = field(default_factory=list)
    """Up to ``SAMPLE`` attempts; failures first, since they are what a reader looks for."""
    unreadable_retry_after: set[int] = field(default_factory=set)
    """Endpoints that sent a ``Retry-After`` header which means nothing; it was ignored."""
    recovered: int = 0
    """Answers that an earlier, dead run had received and the ledger had not."""
    foreign_journals: list[ForeignJournal] = field(default_factory=list)
    """Journals of other ledgers in the same directory; they were left as they are."""
    released: int = 0
    """Claimed and given back untried: the endpoint rests or the time was up."""
    unusable: dict[int, Reason] = field(default_factory=dict)
    """Endpoints whose webhooks are held, with the reason."""
    problems: dict[int, str] = field(default_factory=dict)
    """For each of those that has one, the setting to mend."""
    unchecked: list[str] = field(default_factory=list)
    """Why held messages of some kinds were not released: their mart cannot be read."""
    next_due_at: datetime | None = None
    """When there is something to send again; None when nothing waits to be sent."""
    is_own_network_down: bool = False
    """No endpoint could be reached: the fault is ours, nothing was charged, the run stopped."""

    def count(self, attempts: Sequence[Attempt]) -> None:
        """Take in what a batch has sent."""
        self.outcomes.update(attempt.outcome for attempt in attempts)
        self.durations_ms.extend(attempt.result.duration_ms for attempt in attempts)
        self.unreadable_retry_after.update(
            attempt.claimed.endpoint_id
            for attempt in attempts
            if attempt.decision.is_retry_after_unreadable
        )
        self.sample = sorted(
            [*self.sample, *attempts],
            key=lambda one: (one.outcome == State.DELIVERED, one.started_at),
        )[:SAMPLE]
