"""The delivery report, with its own job, so a failure never stops webhooks."""

import base64
import os
from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from orchestration.check_texts import CheckText
from orchestration.resources import DialResource, WarehouseResource
from orchestration.teams import Team
from sync.domain.states import State
from sync.operations.report.charts import standalone
from sync.operations.report.costs import NOT_MEASURED, Costs, as_document
from sync.operations.report.figures import DEFAULT_DAYS, Figures, read_figures
from sync.operations.report.look import write_whole
from sync.operations.report.page import Chart, charts, render
from sync.settings import report_path

REPORT = dg.AssetKey(["reports", "delivery_report"])

WITHIN_BUDGET = CheckText(
    "A month at the rate of the report's days uses at most `LTW_CREDITS_A_MONTH` credits, not "
    "counting idle warehouse time. Also passes, with a note, when costs are not measured.",
    Team.INTEGRATIONS,
    "The report shows which part used them. Fewer wakes cost less, so turn the cost dial up; a "
    "part that grew without a change has more rows or a slower statement, which Snowflake's query "
    "history finds by its tag. If the site grew, raise the budget.",
).spec("warehouse_costs_are_within_budget", REPORT)
"""Evaluated with the report, so the slow history is read once a day."""


class ReportConfig(dg.Config):
    """The period of the report."""

    days: int = Field(
        default=DEFAULT_DAYS, ge=1, le=90, description="Number of days, including today."
    )


@dg.asset(
    key=REPORT,
    group_name="reports",
    kinds={"html"},
    owners=Team.INTEGRATIONS.owners,
    deps=[
        dg.AssetKey(["marts", name])
        for name in (
            "webhook_deliveries",
            "endpoint_health",
            "webhook_endpoints",
            "learning_time_watermark",
            "warehouse_costs",
            "tracking_line_counts",
        )
    ],
    check_specs=[WITHIN_BUDGET],
    description=(
        "One HTML file with charts of the deliveries: outcomes, latency, learning time, endpoints, "
        "costs. It opens without network access and names no learner."
    ),
)
def delivery_report(
    warehouse: WarehouseResource, dial: DialResource, config: ReportConfig
) -> dg.MaterializeResult:
    """Read the marts, draw the charts, write the page."""
    with warehouse.session(purpose="report") as session:
        figures = read_figures(session, days=config.days)
    path = write_whole(render(figures), report_path(os.environ))
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.path(str(path)),
            **_numbers(figures),
            **({} if figures.is_empty else {"charts": _pictures(charts(figures))}),
        },
        check_results=[within_budget(figures.costs, budget=dial.budget)],
    )


def within_budget(costs: Costs | None, *, budget: int) -> dg.AssetCheckResult:
    """A warning above the budget, in credits a month."""
    measured = as_document(costs) if costs else {"costs": NOT_MEASURED}
    return dg.AssetCheckResult(
        check_name=WITHIN_BUDGET.name,
        passed=costs is None or costs.credits_a_month <= budget,
        # It blocks nothing, and the credits are already spent.
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"budget": budget, **measured},
    )


def _numbers(figures: Figures) -> dict[str, Any]:
    """Numbers that Dagster plots over time."""
    states = figures.states
    delivered = figures.delivered_share
    return {
        "recorded": figures.recorded,
        "suppressed": figures.suppressed,
        "delivered_share": 1.0 if delivered is None else round(delivered, 3),
        "held": states.get(State.HELD, 0),
        "dead": states.get(State.DEAD, 0),
        "enriched_share": round(figures.enriched_share or 0.0, 3),
        "endpoints_in_trouble": sum(
            one.condition in ("failing", "paused", "held", "disabled") for one in figures.endpoints
        ),
        **({"credits_a_day": round(figures.costs.credits_a_day, 3)} if figures.costs else {}),
    }


def _pictures(drawn: Sequence[Chart]) -> dg.MarkdownMetadataValue:
    """All charts behind one click, as data URIs: the only images that the UI allows."""
    parts = []
    for chart in drawn:
        parts.append(f"### {chart.title}\n\n{chart.text}")
        if chart.svg:
            data = base64.b64encode(standalone(chart.svg).encode("utf-8")).decode("ascii")
            parts.append(f"![{chart.title}](data:image/svg+xml;base64,{data})")
    return dg.MetadataValue.md("\n\n".join(parts))


@dg.definitions
def report() -> dg.Definitions:
    """The asset with a link to its code, its job and its schedule."""
    job = dg.define_asset_job(
        "delivery_report_job",
        selection=dg.AssetSelection.assets(REPORT),
        executor_def=dg.in_process_executor,
        description="Draw the delivery report. A separate job, so it never delays a delivery.",
    )
    schedule = dg.ScheduleDefinition(
        name="delivery_report_every_day",
        job_name=job.name,
        cron_schedule="15 5 * * *",
        execution_timezone="UTC",
        description="Daily at 5:15 UTC; run the job manually for the current state.",
    )
    return dg.Definitions(
        assets=dg.with_source_code_references([delivery_report]), jobs=[job], schedules=[schedule]
    )
