"""Endpoints as a run sees them: configuration from the mart, health from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sync.attempts import Attempt
from sync.clock import Clock
from sync.ledger import ENDPOINT_STATE
from sync.retry import Disable, PauseUntil, Signal, SlowDown
from sync.routing import Endpoint, EndpointError
from sync.warehouse import Warehouse


@dataclass(frozen=True)
class Endpoints:
    """Every configured endpoint; rows that cannot be read stand apart and stop nobody else."""

    by_enterprise: Mapping[str, Sequence[Endpoint]]
    unreadable: Mapping[str, str]
    """What is wrong, by enterprise: its completions must wait, not vanish."""

    @property
    def by_id(self) -> dict[int, Endpoint]:
        """The same endpoints by their id."""
        return {one.endpoint_id: one for many in self.by_enterprise.values() for one in many}


def load_endpoints(warehouse: Warehouse) -> Endpoints:
    """Read the mart.

    Raises:
        StatementFailed: the mart was never built.
    """
    rows = warehouse.rows(f"select * from {warehouse.relation('marts', 'webhook_endpoints')}")
    endpoints: dict[str, list[Endpoint]] = {}
    unreadable: dict[str, str] = {}
    for row in rows:
        try:
            endpoint = Endpoint.from_row(row)
        except EndpointError as error:
            unreadable[str(row["enterprise_customer_uuid"])] = str(error)
        else:
            endpoints.setdefault(endpoint.enterprise_customer_uuid, []).append(endpoint)
    return Endpoints(endpoints, unreadable)


def disabled_endpoints(warehouse: Warehouse) -> set[int]:
    """Endpoints that were switched off, by a 410 or by hand."""
    rows = warehouse.rows(
        f"""
        select endpoint_id from {warehouse.relation("sync", ENDPOINT_STATE)}
        where disabled_at is not null
        """
    )
    return {int(row["endpoint_id"]) for row in rows}


def unusable_endpoints(
    in_use: Iterable[int],
    *,
    configured: Mapping[int, Endpoint],
    disabled: Iterable[int],
    problem_of: Callable[[Endpoint], str | None],
) -> dict[int, str]:
    """Endpoints that cannot be sent to now, with the reason to hold their webhooks for.

    ``problem_of`` looks at what lies outside the warehouse: the address policy and the secrets.
    """
    switched_off = set(disabled)
    unusable: dict[int, str] = {}
    for endpoint_id in in_use:
        endpoint = configured.get(endpoint_id)
        if endpoint is None:
            reason = "endpoint_missing"
        elif not endpoint.is_active:
            reason = "endpoint_inactive"
        elif endpoint_id in switched_off:
            reason = "endpoint_disabled"
        else:
            reason = problem_of(endpoint)
        if reason is not None:
            unusable[endpoint_id] = reason
    return unusable


@dataclass(frozen=True)
class Health:
    """What a batch says about one endpoint."""

    endpoint_id: int
    failures: int
    """Failures since the last success of the batch, or in the whole batch without one."""
    has_succeeded: bool
    first_failure_at: datetime | None
    paused_until: datetime | None
    disabled_reason: str | None


def health_of(attempts: Iterable[Attempt]) -> list[Health]:
    """Sum up a batch by endpoint, in the order in which the attempts ended."""
    by_endpoint: dict[int, list[Attempt]] = {}
    for attempt in sorted(attempts, key=lambda one: one.finished_at):
        if attempt.decision.signal is not Signal.NOTHING:
            by_endpoint.setdefault(attempt.claimed.endpoint_id, []).append(attempt)
    return [_health(endpoint_id, made) for endpoint_id, made in by_endpoint.items()]


def record_health(warehouse: Warehouse, attempts: Iterable[Attempt], *, clock: Clock) -> None:
    """Write what a batch says about its endpoints; two statements, however many there are."""
    rows = [_health_row(health) for health in health_of(attempts)]
    table = warehouse.relation("sync", ENDPOINT_STATE)
    now = clock().isoformat()
    warehouse.bulk(
        f"""
        insert into {table} (endpoint_id, breaker_state, consecutive_failures, updated_at)
        select seen.value:endpoint_id::number(38, 0), 'closed', 0, cast(? as timestamp_ntz)
        from table(flatten(input => parse_json(?))) as seen
        where not exists (
            select 1 from {table} as known
            where known.endpoint_id = seen.value:endpoint_id::number(38, 0)
        )
        """,
        rows,
        before=(now,),
    )
    warehouse.bulk(
        f"""
        update {table} as endpoint
        set
            consecutive_failures
                = iff(seen.has_succeeded, 0, endpoint.consecutive_failures) + seen.failures,
            failing_since = case
                when seen.failures = 0 then null
                when seen.has_succeeded then seen.first_failure_at
                else coalesce(endpoint.failing_since, seen.first_failure_at)
            end,
            paused_until = coalesce(seen.paused_until, endpoint.paused_until),
            disabled_at = coalesce(
                endpoint.disabled_at,
                iff(seen.disabled_reason is null, null, cast(? as timestamp_ntz))
            ),
            disabled_reason = coalesce(endpoint.disabled_reason, seen.disabled_reason),
            updated_at = cast(? as timestamp_ntz)
        from (
            select
                value:endpoint_id::number(38, 0) as endpoint_id,
                value:failures::number(38, 0) as failures,
                value:has_succeeded::boolean as has_succeeded,
                value:first_failure_at::varchar::timestamp_ntz as first_failure_at,
                value:paused_until::varchar::timestamp_ntz as paused_until,
                value:disabled_reason::varchar as disabled_reason
            from table(flatten(input => parse_json(?)))
        ) as seen
        where endpoint.endpoint_id = seen.endpoint_id
        """,
        rows,
        before=(now, now),
    )


def _health(endpoint_id: int, attempts: list[Attempt]) -> Health:
    successes = [n for n, one in enumerate(attempts) if one.decision.signal is Signal.SUCCESS]
    failures = attempts[successes[-1] + 1 :] if successes else attempts
    effects = [attempt.decision.effect for attempt in attempts]
    pauses = [effect.at for effect in effects if isinstance(effect, PauseUntil)]
    pauses += [effect.until for effect in effects if isinstance(effect, SlowDown) and effect.until]
    return Health(
        endpoint_id=endpoint_id,
        failures=len(failures),
        has_succeeded=bool(successes),
        first_failure_at=failures[0].finished_at if failures else None,
        paused_until=max(pauses, default=None),
        disabled_reason=next((one.reason for one in effects if isinstance(one, Disable)), None),
    )


def _health_row(health: Health) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in vars(health).items()
    }
