"""Checks that no dbt test can be, because they are there to be read and not to fail."""

import dagster as dg

from orchestration.metadata import bar_chart
from orchestration.resources import WarehouseResource

LINE_COUNTS = dg.AssetKey(["marts", "tracking_line_counts"])


@dg.asset_check(
    asset=LINE_COUNTS,
    name="lines_by_reason",
    description=(
        "Always passes; shows what became of the tracking-log lines, by reason. The dbt test on "
        "the quarantined share warns and fails. A reason that grows suddenly is a changed log."
    ),
)
def lines_by_reason(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Count lines by outcome and reason."""
    with warehouse.session(purpose="check") as session:
        rows = session.rows(
            f"""
            select outcome, reason, sum(line_count) as line_count
            from {session.relation("marts", "tracking_line_counts")}
            group by outcome, reason
            """
        )
    counts = {f"{row['outcome']}: {row['reason']}": int(row["line_count"]) for row in rows}
    lines = sum(counts.values())
    quarantined = sum(int(row["line_count"]) for row in rows if row["outcome"] == "quarantined")
    return dg.AssetCheckResult(
        passed=True,
        metadata={
            "lines": lines,
            "quarantined": quarantined,
            "quarantined_share": quarantined / lines if lines else 0.0,
            "by_reason": dg.MetadataValue.md(bar_chart(counts)),
        },
    )
