"""Invented report figures."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sync.operations.report.costs import Costs, PartCost
from sync.operations.report.figures import (
    DELIVERY_BUCKETS,
    STUDY_BUCKETS,
    Day,
    EndpointFigures,
    Figures,
)

TODAY = datetime(2026, 3, 31, 12, 0)
COSTS = Costs(
    days=30,
    parts=[
        PartCost(part="models", credits=45.0, query_count=90_000),
        PartCost(part="delivery", credits=15.0, query_count=30_000),
    ],
    delivered=5_000,
    lines=90_000_000,
)
"""2 credits per day."""


def endpoint_figures(number: int, **changes: object) -> EndpointFigures:
    """A healthy endpoint."""
    values = {
        "host": f"hooks-{number}.example.com",
        "region": "EU",
        "condition": "good",
        "delivered": 100,
        "open": 0,
        "held": 0,
        "dead": 0,
        "oldest_open_at": None,
        "last_delivered_at": TODAY,
        "success_share": 1.0,
        "p50_seconds": 12.0,
        "p95_seconds": 340.0,
        "attempt_p95_ms": 180.0,
        **changes,
    }
    return EndpointFigures(endpoint_id=number, **values)  # pyright: ignore[reportArgumentType]


def day(at: date, count: int) -> Day:
    """Mostly delivered; two of three with learning time."""
    states = {"delivered": count, "dead": count // 10, "held": count // 20} if count else {}
    return Day(date=at, states=states, built=count, enriched=count * 2 // 3)


def figures(*, counts: list[int], endpoints: int = 3) -> Figures:
    """One day per count, the last one today."""
    first = TODAY.date() - timedelta(days=len(counts) - 1)
    return Figures(
        made_at=TODAY,
        days=[day(first + timedelta(days=n), count) for n, count in enumerate(counts)],
        endpoints=[endpoint_figures(n) for n in range(1, endpoints + 1)],
        delivery_counts=[7] * (len(DELIVERY_BUCKETS) + 1),
        study_counts=[3] * (len(STUDY_BUCKETS) + 1),
        reasons={"found": 20, "not_in_rollout": 9, "no_data": 1},
        computed_through=TODAY,
        costs=None,
    )
