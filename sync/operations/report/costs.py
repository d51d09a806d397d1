"""What the product's queries cost on Snowflake, and what for: the mart ``warehouse_costs``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sync.operations.dial import DAYS_OF_A_MONTH
from sync.warehouse import StatementFailed, Warehouse

HISTORY_LAG = timedelta(hours=8)
"""docs.snowflake.com/en/sql-reference/account-usage/query_attribution_history, usage notes."""
NOT_MEASURED = (
    "Not measured: the mart warehouse_costs is empty or cannot be read. On Snowflake set "
    "is_cost_history_read in dbt_project.yml, grant the database role snowflake.usage_viewer to "
    "the role that builds the models (the end of deploy/snowflake/setup.sql), and run "
    "learning_time_job."
)


@dataclass(frozen=True, kw_only=True)
class PartCost:
    """One part of the product, by its query tags."""

    part: str
    credits: float
    query_count: int


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Credits of the whole days of a period, from the first day with one of our queries."""

    days: int
    parts: Sequence[PartCost]
    """The most expensive first."""
    delivered: int
    """Webhooks delivered on these days."""
    lines: int
    """Tracking lines loaded on these days."""

    @property
    def credits_a_day(self) -> float:
        """On average."""
        return sum(one.credits for one in self.parts) / self.days

    @property
    def credits_a_month(self) -> float:
        """What a month of 31 such days takes."""
        return self.credits_a_day * DAYS_OF_A_MONTH

    @property
    def per_thousand_webhooks(self) -> float | None:
        """Credits of the part delivery; None without a webhook."""
        return self._of("delivery") * 1_000 / self.delivered if self.delivered else None

    @property
    def per_million_lines(self) -> float | None:
        """Credits of the part models; None without a line."""
        return self._of("models") * 1_000_000 / self.lines if self.lines else None

    def _of(self, part: str) -> float:
        return sum(one.credits for one in self.parts if one.part == part)


def read_costs(warehouse: Warehouse, *, now: datetime, days: int) -> Costs | None:
    """Costs of the last ``days`` days before ``now`` (naive UTC) that are complete in the history.

    None, after one statement, if nothing is measured or the history may not be read; otherwise
    three statements.

    Raises:
        StatementFailed: the other marts cannot be read.
    """
    until = (now - HISTORY_LAG).date()
    since = (now - timedelta(days=days - 1)).date()
    try:
        rows = warehouse.rows(
            f"""
            select
                part,
                min(used_date) as first_date,
                sum(credits) as credits,
                sum(query_count) as query_count
            from {warehouse.relation("marts", "warehouse_costs")}
            where used_date >= cast(? as date) and used_date < cast(? as date)
            group by part
            """,
            since.isoformat(),
            until.isoformat(),
        )
    except StatementFailed:
        # Such as a revoked grant on the history: the report does without the costs.
        return None
    if not rows:
        return None
    first = min(row["first_date"] for row in rows)
    found = [
        PartCost(
            part=row["part"], credits=float(row["credits"]), query_count=int(row["query_count"])
        )
        for row in rows
    ]
    return Costs(
        days=(until - first).days,
        parts=sorted(found, key=lambda one: -one.credits),
        delivered=between(
            warehouse, "webhook_deliveries", "delivered_at", first, until, "count(*)"
        ),
        lines=between(
            warehouse, "tracking_line_counts", "loaded_date", first, until, "sum(line_count)"
        ),
    )


def between(
    warehouse: Warehouse, mart: str, column: str, first: date, until: date, what: str
) -> int:
    """Rows of a mart from ``first`` on and before ``until``; ``what`` counts them in SQL."""
    found = warehouse.value(
        f"""
        select {what} as n from {warehouse.relation("marts", mart)}
        where {column} >= cast(? as date) and {column} < cast(? as date)
        """,
        first.isoformat(),
        until.isoformat(),
    )
    return int(found or 0)


def as_document(costs: Costs) -> dict[str, Any]:
    """All of it for JSON; amounts in credits."""
    return {
        "days": costs.days,
        "delivered": costs.delivered,
        "lines": costs.lines,
        "credits_a_day": costs.credits_a_day,
        "credits_a_month": costs.credits_a_month,
        "per_thousand_webhooks": costs.per_thousand_webhooks,
        "per_million_lines": costs.per_million_lines,
        "parts": [asdict(one) for one in costs.parts],
    }
