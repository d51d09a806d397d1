"""What a delivery run is given, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from sync.addresses import AddressPolicy
from sync.attempts import Attempt
from sync.clock import Clock
from sync.oauth import TokenPoster
from sync.results import Answer, Failure
from sync.secrets import SecretStore
from sync.steps import Hook, nothing


class Poster(TokenPoster, Protocol):
    """Sends bytes to a URL under a total deadline and never raises for what an endpoint does."""

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Answer | Failure: ...


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
    hook: Hook = nothing


@dataclass
class DispatchReport:
    """What one run sent."""

    attempts: list[Attempt] = field(default_factory=list)
    recovered: int = 0
    """Answers that an earlier, dead run had received and the ledger had not."""
    released: int = 0
    """Claimed and given back untried: the endpoint rests or the time was up."""
    unusable: dict[int, str] = field(default_factory=dict)
    """Endpoints whose webhooks are held, with the reason."""
    problems: dict[int, str] = field(default_factory=dict)
    """For each of those that has one, the setting to mend."""
    is_own_network_down: bool = False
    """No endpoint could be reached: the fault is ours, nothing was charged, the run stopped."""

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
