"""The story of one learner as one HTML file, in the style of the delivery report."""

from __future__ import annotations

from sync.domain.states import State
from sync.operations.explain.number import SECOND
from sync.operations.explain.story import Story, built_seconds
from sync.operations.operation import Report
from sync.operations.report.charts import Series, columns, duration, minute
from sync.operations.report.look import html

MOST_DAYS = 60
"""Days of the chart; the table has them all."""


def render(report: Report, story: Story) -> str:
    """The page. It says no more than the report does."""
    number = story.number
    built = ", ".join(f"{one:,} s" for one in built_seconds(story.webhooks))
    return html(
        "explain.html.j2",
        courserun_key=story.courserun_key,
        made_at=minute(report.document["as_of"]),
        computed_through=minute(story.computed_through),
        outcome=report.outcome,
        counts=[
            ("learning time", f"{number.seconds:,} s"),
            ("that is", duration(number.seconds)),
            ("sent", built or "–"),
            ("sessions", f"{len(number.sessions):,}"),
            ("days", f"{len(number.days):,}"),
            ("after the completion", duration(number.cut_microseconds // SECOND)),
        ],
        lines=report.lines,
        chart=_chart(story),
        tables=[
            (name, list(rows[0]), [list(row.values()) for row in rows])
            for name, rows in report.tables.items()
            if rows
        ],
    )


def _chart(story: Story) -> str:
    days = story.number.days[-MOST_DAYS:]
    if not days:
        return ""
    counted = [one.microseconds / SECOND / 60 for one in days]
    cut = [one.cut_microseconds / SECOND / 60 for one in days]
    return columns(
        [Series("counts", "accent", counted), Series("after the completion", State.HELD, cut)],
        [f"{one.day.date.day} {one.day.date:%b}" for one in days],
        title="Learning time by day",
        text="Minutes of each day with learning events, up to the completion and after it.",
        unit=" min",
    )
