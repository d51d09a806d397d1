"""The report as one HTML file: inline SVG and CSS, no script, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sync.domain.states import State
from sync.operations.report.charts import DARK, LIGHT
from sync.operations.report.figures import EndpointFigures, Figures
from sync.operations.report.pictures import MOST_ROWS, charts
from sync.operations.report.units import day_and_time, duration, moment, share

HEAD = (
    "state", "endpoint", "host", "region", "delivered", "open", "held", "given up", "2xx",
    "half in", "95 % in", "oldest open", "last delivery",
)  # fmt: skip


def render(figures: Figures) -> str:
    """The page. It names endpoints by id and host, and nobody else."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
    )
    drawn = [] if figures.is_empty else charts(figures)
    return environment.get_template("page.html.j2").render(
        light=LIGHT,
        dark=DARK,
        made_at=moment(figures.made_at),
        period=f"The last {len(figures.days)} days",
        computed_through=moment(figures.computed_through),
        is_empty=figures.is_empty,
        counts=_counts(figures),
        charts=drawn,
        endpoints_head=HEAD,
        endpoints=[_row(one) for one in figures.endpoints[:MOST_ROWS]],
        endpoints_text=_endpoints_text(figures.endpoints),
    )


def write(figures: Figures, path: Path) -> Path:
    """Write the page in one step, so that a reader never meets half of it; its absolute path.

    Raises:
        OSError: the directory cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(render(figures), encoding="utf-8")
    return unfinished.replace(path).resolve()


def _counts(figures: Figures) -> list[tuple[str, str]]:
    states = figures.states
    waiting = states.get(State.PENDING, 0) + states.get(State.AWAITING, 0)
    return [
        ("recorded", f"{figures.recorded:,}"),
        ("delivered", share(figures.delivered_share)),
        ("on their way", f"{waiting:,}"),
        ("held", f"{states.get(State.HELD, 0):,}"),
        ("given up", f"{states.get(State.DEAD, 0):,}"),
        ("with learning time", share(figures.enriched_share)),
    ]


def _endpoints_text(endpoints: Sequence[EndpointFigures]) -> str:
    shown = min(len(endpoints), MOST_ROWS)
    text = (
        "Counts since the beginning, times to delivery of the period, moments in UTC. "
        "Those that need somebody come first."
    )
    return text if shown == len(endpoints) else f"{text} The first {shown} of {len(endpoints):,}."


def _row(one: EndpointFigures) -> list[str]:
    return [
        one.condition,
        f"{one.endpoint_id}",
        one.host,
        one.region,
        f"{one.delivered:,}",
        f"{one.open:,}",
        f"{one.held:,}",
        f"{one.dead:,}",
        share(one.success_share),
        duration(one.p50_seconds),
        duration(one.p95_seconds),
        day_and_time(one.oldest_open_at),
        day_and_time(one.last_delivered_at),
    ]
