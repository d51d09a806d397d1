"""A whole delivery run for tests: a seeded warehouse, the three steps, and an audit of the ledger.

Everything here can be used from a child process, so a world is described by plain values.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from sync.clock import Clock, warehouse_clock
from sync.delivery.build import EnrichmentPolicy, build
from sync.delivery.learning_time import LearningTimeClient
from sync.delivery.record import record
from sync.delivery.scheduler import Limits
from sync.delivery.send import Sender, SendReport, send_due
from sync.domain.event_types import event_types
from sync.http.addresses import AddressPolicy
from sync.http.destination import HttpDestination, Poster
from sync.http.resolver import SystemResolver
from sync.http.secrets import SecretStore
from sync.http.transport import Transport
from sync.http.urls import parse_development_targets
from sync.ledger.journal import abandoned_journals
from sync.ledger.outbox import Outbox
from sync.ledger.steps import Hook, nothing
from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse
from tests.support.completions import COURSE_RUN, add_completions, completion, webhook_id
from tests.support.event_types import COMPLETIONS
from tests.support.marts import create_marts, endpoint

PASSED_AT = "2026-03-10T17:42:31"
ACTIVATED_AT = datetime(2026, 3, 1)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
FLAG_OFF = EnrichmentPolicy(enabled=False)
TIMEOUT_SECONDS = 60
"""Of a request: no receiver that responds is so slow, whatever else the machine does."""


def enterprise(number: int) -> str:
    """The uuid of an invented customer."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"customer-{number}.example.com"))


def secrets(endpoint_ids: Iterable[int], others: Mapping[str, str] | None = None) -> SecretStore:
    """One signing key for each endpoint, and other secrets by environment variable."""
    keys = {f"LTW_SECRET_WEBHOOK_SIGNING_{n}": SECRET for n in endpoint_ids}
    return SecretStore(keys | dict(others or {}), None)


def seed(warehouse: Warehouse, urls: Sequence[str], **endpoint_changes: object) -> None:
    """The ledger and the marts: one customer with one endpoint for each url, no completion yet."""
    ensure_ledger(warehouse)
    changes = {"timeout_seconds": TIMEOUT_SECONDS} | endpoint_changes
    create_marts(
        warehouse,
        endpoints=[
            endpoint(n, url, enterprise_customer_uuid=enterprise(n), **changes)
            for n, url in enumerate(urls, start=1)
        ],
    )


def complete(warehouse: Warehouse, users: Iterable[int], *, endpoints: int) -> set[str]:
    """Add completions, distributed round-robin over customers; returns their future webhook ids."""
    users = list(users)
    add_completions(
        warehouse,
        [
            completion(n, PASSED_AT, enterprise_customer_uuid=enterprise(n % endpoints + 1))
            for n in users
        ],
    )
    return completed(users, endpoints=endpoints)


def completed(users: Iterable[int], *, endpoints: int) -> set[str]:
    """The webhook ids of the completions that ``complete`` writes."""
    return {
        webhook_id(COMPLETIONS.name, enterprise(n % endpoints + 1), n, COURSE_RUN) for n in users
    }


_clock_of = cache(warehouse_clock)
"""Cached: a test runs the steps of a session many times with the same clock."""


class Resolver(SystemResolver):
    """A destination whose canary responds as configured."""

    def __init__(self, canary: Callable[[], bool | None]) -> None:
        super().__init__()
        self.reaches_canary = canary


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the three steps."""

    host_ports: str
    journals: Path
    endpoints: int
    run_id: str = "run-1"
    limits: Limits = field(default_factory=Limits)
    credentials: Mapping[str, str] = field(default_factory=dict)
    """Secrets other than signing keys, by environment variable."""
    sources: tuple[str, ...] = (COMPLETIONS.name,)
    enrichment: EnrichmentPolicy = FLAG_OFF
    ahead: timedelta = timedelta(0)
    """How far its clock runs ahead of the warehouse's."""

    def record_and_build(self, warehouse: Warehouse, *, hook: Hook = nothing) -> None:
        """Record what is new and build its messages."""
        clock = self.clock(warehouse)
        for name in self.sources:
            record(
                warehouse,
                run_id=self.run_id,
                clock=clock,
                source=event_types()[name],
                activated_at=ACTIVATED_AT,
                allow_mass_send=True,
                hook=hook,
            )
        outbox = Outbox(warehouse, clock, self.run_id)
        client = LearningTimeClient(warehouse)
        build(warehouse, outbox, client, policy=self.enrichment, clock=clock, hook=hook)

    def send(self, warehouse: Warehouse, *, hook: Hook = nothing) -> SendReport:
        """Send over real sockets."""
        with Transport(policy=self.policy) as transport:
            return send_due(warehouse, self.sender(warehouse, transport, hook=hook))

    def sender(
        self,
        warehouse: Warehouse,
        poster: Poster,
        *,
        hook: Hook = nothing,
        canary: Callable[[], bool | None] = lambda: None,
    ) -> Sender:
        """The sender for ``send_due``."""
        destination = HttpDestination(
            policy=self.policy,
            secrets=secrets(range(1, self.endpoints + 1), self.credentials),
            poster=poster,
            resolver=Resolver(canary),
        )
        return Sender(
            run_id=self.run_id,
            clock=self.clock(warehouse),
            destination=destination,
            journal_directory=self.journals,
            limits=self.limits,
            hook=hook,
        )

    @property
    def policy(self) -> AddressPolicy:
        """Allows only the receivers of the test."""
        return AddressPolicy(development_targets=parse_development_targets(self.host_ports))

    def clock(self, warehouse: Warehouse) -> Clock:
        """The warehouse's clock, shifted."""
        now = _clock_of(warehouse)
        return lambda: now() + self.ahead

    def later(self, span: timedelta) -> Run:
        """The same run with its clock further ahead."""
        return replace(self, ahead=self.ahead + span)


def all_steps(warehouse: Warehouse, run: Run, *, hook: Hook = nothing) -> SendReport:
    """Record, build and send."""
    run.record_and_build(warehouse, hook=hook)
    return run.send(warehouse, hook=hook)


def journaled(directory: Path, *, state: str) -> set[str]:
    """Ids with attempts in the journals of dead processes; read-only."""
    with abandoned_journals(directory) as journals:
        return {
            one.claim.webhook_id
            for journal in journals
            for one in journal.attempts()
            if one.follow_up.state == state
        }


def delivered(warehouse: Warehouse) -> set[str]:
    """Ids that are delivered per the ledger."""
    rows = warehouse.rows(
        "select webhook_id from analytics.sync.webhook_outbox where state = 'delivered'"
    )
    return {row["webhook_id"] for row in rows}


WRONG: dict[str, str] = {
    "a completion is in the outbox twice": """
        select webhook_id from analytics.sync.webhook_outbox
        group by webhook_id having count(*) > 1
    """,
    "an attempt was logged twice": """
        select webhook_id from analytics.sync.webhook_attempts
        group by webhook_id, fence having count(*) > 1
    """,
    "a delivered row has no 2xx": """
        select webhook_id from analytics.sync.webhook_outbox as outbox
        where state = 'delivered' and not exists (
            select 1 from analytics.sync.webhook_attempts as attempts
            where attempts.webhook_id = outbox.webhook_id and status_code between 200 and 299
        )
    """,
    "an attempt was charged that nobody made": """
        select webhook_id from analytics.sync.webhook_outbox as outbox
        where attempt_count > (
            select count(*) from analytics.sync.webhook_attempts as attempts
            where attempts.webhook_id = outbox.webhook_id
        )
    """,
    "a finished row has a lease": """
        select webhook_id from analytics.sync.webhook_outbox
        where state <> 'pending' and lease_owner is not null
    """,
}
"""Invariants that hold at all times, each with a query that finds violations."""

AT_REST: dict[str, str] = {
    "a row with a 2xx is not delivered": """
        select webhook_id from analytics.sync.webhook_outbox as outbox
        where state <> 'delivered' and exists (
            select 1 from analytics.sync.webhook_attempts as attempts
            where attempts.webhook_id = outbox.webhook_id and status_code between 200 and 299
        )
    """,
    "a completion is not in the outbox": """
        select completions.user_id from analytics.marts.completed_enrollments as completions
        where not exists (
            select 1 from analytics.sync.webhook_outbox as outbox
            where outbox.user_id = completions.user_id
        )
    """,
    "a lease is left": """
        select webhook_id from analytics.sync.webhook_outbox where lease_owner is not null
    """,
}
"""Further invariants that hold while no run is active."""


def audit(warehouse: Warehouse, *, is_at_rest: bool) -> list[str]:
    """All violations of the invariants in the ledger."""
    queries = WRONG | AT_REST if is_at_rest else WRONG
    # One statement is cheaper for the embedded engine than eight.
    found = warehouse.rows(
        " union all ".join(
            f"select {n} as number from ({query}) as found having count(*) > 0"
            for n, query in enumerate(queries.values())
        )
    )
    return [list(queries)[number] for number in sorted(int(one["number"]) for one in found)]
