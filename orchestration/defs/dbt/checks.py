"""Lines of the tracking log by result: an informational check."""

from collections.abc import Iterator

import dagster as dg

from orchestration.check_texts import CheckText
from orchestration.metadata import bar_chart
from orchestration.resources import WarehouseResource
from orchestration.teams import Team

LINES_BY_REASON = CheckText(
    "Always passes: shows the tracking log lines by outcome and reason.",
    Team.LEARNING_DATA,
    "Nothing. A reason that grows suddenly means the log has changed.",
).spec("lines_by_reason", dg.AssetKey(["marts", "tracking_line_counts"]))


@dg.multi_asset_check(name="lines_by_reason", specs=[LINES_BY_REASON])
def lines_by_reason(warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
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
    yield dg.AssetCheckResult(
        check_name=LINES_BY_REASON.name,
        asset_key=LINES_BY_REASON.asset_key,
        passed=True,
        metadata={
            "lines": lines,
            "quarantined": quarantined,
            "quarantined_share": quarantined / lines if lines else 0.0,
            "by_reason": dg.MetadataValue.md(bar_chart(counts)),
        },
    )
