"""The numbers of the report, read from the delivery marts. No learner's name, id or message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sync.clock import warehouse_clock
from sync.delivery.learning_time import computed_through
from sync.domain.event_types import COURSE_COMPLETION_CORRECTION
from sync.domain.states import State
from sync.operations.endpoints import host_of
from sync.operations.report.costs import Costs, read_costs
from sync.warehouse import Warehouse

DEFAULT_DAYS = 30
DELIVERY_BUCKETS = (10, 60, 300, 1_800, 7_200, 43_200)
"""Upper bounds in seconds: about the times at which one attempt follows another."""
STUDY_BUCKETS = (1, 1_800, 3_600, 7_200, 14_400, 28_800, 57_600, 115_200)
"""Upper bounds in seconds; below the first is 0, which is a real learning time."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """Webhooks recorded on one UTC day."""

    date: date
    states: Mapping[str, int]
    """How many are in each state now."""
    built: int
    """Completions whose message is built."""
    enriched: int = 0
    """Those of them that carry learning time."""


@dataclass(frozen=True, kw_only=True)
class EndpointFigures:
    """One endpoint: what it has now, and how fast it takes webhooks."""

    endpoint_id: int
    host: str
    """The host in its URL, without path and query; empty if the LMS no longer has the endpoint."""
    region: str
    condition: str
    """good, failing, paused, held, disabled, off or unused."""
    delivered: int
    open: int
    held: int
    dead: int
    oldest_open_at: datetime | None
    last_delivered_at: datetime | None
    success_share: float | None
    """Of all attempts so far, from 0 to 1; None before the first."""
    p50_seconds: float | None = None
    """From recording to delivery, in the period; None without a delivery in it."""
    p95_seconds: float | None = None
    attempt_p95_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class CorrectionFigures:
    """Corrections of one outcome."""

    became: str
    """told, waiting or refused."""
    reason: str
    """The reason of their state; empty without one."""
    count: int


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Everything the report shows. Times are naive UTC."""

    made_at: datetime
    days: Sequence[Day]
    """Every day of the period, oldest first, including days without a webhook."""
    endpoints: Sequence[EndpointFigures]
    """Those that need attention first."""
    delivery_counts: Sequence[int]
    """Deliveries of the period by ``DELIVERY_BUCKETS``; one more for those above the last."""
    study_counts: Sequence[int]
    """Messages of the period by ``STUDY_BUCKETS``; one more for those above the last."""
    reasons: Mapping[str, int]
    """Completions of the period that were built, by outcome of the lookup."""
    computed_through: datetime | None
    corrections: Sequence[CorrectionFigures] = ()
    """Those recorded in the period; none if no endpoint asks for them."""
    costs: Costs | None
    """None if they are not measured."""

    @property
    def states(self) -> dict[str, int]:
        """Webhooks of the period by state."""
        total: dict[str, int] = {}
        for day in self.days:
            for state, count in day.states.items():
                total[state] = total.get(state, 0) + count
        return total

    @property
    def recorded(self) -> int:
        """Webhooks of the period, suppressed ones included."""
        return sum(self.states.values())

    @property
    def suppressed(self) -> int:
        """Those of them that are never sent."""
        return self.states.get(State.SUPPRESSED, 0)

    @property
    def to_send(self) -> int:
        """All the others."""
        return self.recorded - self.suppressed

    @property
    def is_empty(self) -> bool:
        """Whether nothing was recorded in the period."""
        return not self.recorded

    @property
    def delivered_share(self) -> float | None:
        """Of those to be sent; None without any."""
        return self.states.get(State.DELIVERED, 0) / self.to_send if self.to_send else None

    @property
    def built(self) -> int:
        """Completions of the period that were built."""
        return sum(day.built for day in self.days)

    @property
    def enriched_share(self) -> float | None:
        """Of these, those with learning time; None without any."""
        return sum(day.enriched for day in self.days) / self.built if self.built else None


def read_figures(warehouse: Warehouse, *, days: int = DEFAULT_DAYS) -> Figures:
    """Read the marts: nine to eleven statements, whatever the number of webhooks.

    Raises:
        RelationMissing: the marts were never built; the text says how to build them.
        StatementFailed: they cannot be read.
    """
    now = warehouse_clock(warehouse)()
    first = (now - timedelta(days=days - 1)).date()
    deliveries = warehouse.relation("marts", "webhook_deliveries")
    since = first.isoformat()
    states = warehouse.rows(
        f"""
        select recorded_at::date as recorded_on, state, count(*) as n
        from {deliveries}
        where recorded_at >= cast(? as timestamp_ntz)
        group by recorded_on, state
        """,
        since,
    )
    outcomes = warehouse.rows(
        f"""
        select
            recorded_at::date as recorded_on,
            coalesce(enrichment_outcome, 'unknown') as reason,
            count(*) as n
        from {deliveries}
        where recorded_at >= cast(? as timestamp_ntz)
            and frozen_at is not null and event_type = 'course_completion'
        group by recorded_on, reason
        """,
        since,
    )
    corrections = warehouse.rows(
        f"""
        select
            case
                when state = '{State.DELIVERED}' then 'told'
                when state in ('{State.DEAD}', '{State.SUPPRESSED}') then 'refused'
                else 'waiting'
            end as became,
            coalesce(state_reason, '') as reason,
            count(*) as count
        from {deliveries}
        where recorded_at >= cast(? as timestamp_ntz)
            and event_type = '{COURSE_COMPLETION_CORRECTION}'
        group by became, reason
        order by became, reason
        """,
        since,
    )
    reasons: dict[str, int] = {}
    for row in outcomes:
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + int(row["n"])
    return Figures(
        made_at=now,
        days=_days(states, outcomes, first=first, count=days),
        endpoints=_endpoints(warehouse, since=since, now=now),
        delivery_counts=_buckets(
            warehouse, "delivery_seconds", DELIVERY_BUCKETS, "delivered_at", since
        ),
        study_counts=_buckets(
            warehouse, "learning_time_seconds", STUDY_BUCKETS, "recorded_at", since
        ),
        reasons=dict(sorted(reasons.items(), key=lambda item: -item[1])),
        computed_through=computed_through(warehouse),
        corrections=[CorrectionFigures(**row) for row in corrections],
        costs=read_costs(warehouse, now=now, days=days),
    )


def _days(
    states: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Mapping[str, Any]],
    *,
    first: date,
    count: int,
) -> list[Day]:
    by_day: dict[date, dict[str, int]] = {}
    built: dict[date, int] = {}
    enriched: dict[date, int] = {}
    for row in states:
        by_day.setdefault(row["recorded_on"], {})[row["state"]] = int(row["n"])
    for row in outcomes:
        day, n = row["recorded_on"], int(row["n"])
        built[day] = built.get(day, 0) + n
        enriched[day] = enriched.get(day, 0) + (n if row["reason"] == "found" else 0)
    return [
        Day(
            date=day,
            states=by_day.get(day, {}),
            built=built.get(day, 0),
            enriched=enriched.get(day, 0),
        )
        for day in (first + timedelta(days=n) for n in range(count))
    ]


def _buckets(
    warehouse: Warehouse, column: str, bounds: Sequence[int], at: str, since: str
) -> list[int]:
    cases = " ".join(f"when {column} < {bound} then {n}" for n, bound in enumerate(bounds))
    rows = warehouse.rows(
        f"""
        select case {cases} else {len(bounds)} end as bucket, count(*) as n
        from {warehouse.relation("marts", "webhook_deliveries")}
        where {column} is not null and {at} >= cast(? as timestamp_ntz)
        group by bucket
        """,
        since,
    )
    found = {int(row["bucket"]): int(row["n"]) for row in rows}
    return [found.get(n, 0) for n in range(len(bounds) + 1)]


def _endpoints(warehouse: Warehouse, *, since: str, now: datetime) -> list[EndpointFigures]:
    rows = warehouse.rows(
        f"""
        with speeds as (
            select
                endpoint_id,
                percentile_cont(0.5) within group (order by delivery_seconds) as p50_seconds,
                percentile_cont(0.95) within group (order by delivery_seconds) as p95_seconds,
                percentile_cont(0.95) within group (order by last_duration_ms) as attempt_p95_ms
            from {warehouse.relation("marts", "webhook_deliveries")}
            where delivered_at >= cast(? as timestamp_ntz)
            group by endpoint_id
        )
        select
            health.*, endpoints.url, speeds.p50_seconds, speeds.p95_seconds, speeds.attempt_p95_ms
        from {warehouse.relation("marts", "endpoint_health")} as health
        left join {warehouse.relation("marts", "webhook_endpoints")} as endpoints
            on health.endpoint_id = endpoints.endpoint_id
        left join speeds on health.endpoint_id = speeds.endpoint_id
        """,
        since,
    )
    found = [_endpoint(row, now) for row in rows]
    return sorted(found, key=_urgency)


def _urgency(one: EndpointFigures) -> tuple[int, int, bool, int]:
    return -one.dead - one.held, -one.open, one.delivered == 0, one.endpoint_id


def _endpoint(row: Mapping[str, Any], now: datetime) -> EndpointFigures:
    attempts = int(row["attempt_count"])
    return EndpointFigures(
        endpoint_id=int(row["endpoint_id"]),
        host=host_of(row["url"]) if row["url"] else "",
        region=row["region"] or "",
        condition=_condition(row, now),
        delivered=int(row["delivered_count"]),
        open=int(row["open_count"]),
        held=int(row["held_count"]),
        dead=int(row["dead_count"]),
        oldest_open_at=row["oldest_open_at"],
        last_delivered_at=row["last_delivered_at"],
        success_share=int(row["successful_attempt_count"]) / attempts if attempts else None,
        p50_seconds=_number(row["p50_seconds"]),
        p95_seconds=_number(row["p95_seconds"]),
        attempt_p95_ms=_number(row["attempt_p95_ms"]),
    )


def _condition(row: Mapping[str, Any], now: datetime) -> str:
    if not row["is_active"]:
        return "off"
    if row["disabled_at"] is not None:
        return "disabled"
    if row["breaker_state"] != "closed" or (row["paused_until"] or now) > now:
        return "paused"
    if int(row["held_count"]):
        return State.HELD
    if not int(row["attempt_count"]):
        return "unused"
    return "failing" if row["consecutive_failures"] else "good"


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
