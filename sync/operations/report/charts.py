"""Charts as SVG: columns over labels, and spans on a scale of durations; and their texts.

Hand-written, because a plotting library would add 180 MB and colors that cannot follow dark mode.
Colors are the CSS variables of ``LIGHT``; every mark has its value as a tooltip, and every chart
has a title and a text for screen readers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from sync.domain.states import State

_STEPS = ((172_800, 86_400, "d"), (3_600, 3_600, "h"), (60, 60, "min"))
"""The seconds from which a unit is used, and its length in seconds."""


def duration(seconds: float | None) -> str:
    """``45 s``, ``1.5 min``, ``12 h``; an en dash for None."""
    if seconds is None:
        return "–"
    for least, size, unit in _STEPS:
        if seconds >= least:
            return f"{_count(seconds / size)} {unit}"
    return f"{_count(seconds)} s"


def share(value: float | None) -> str:
    """A share from 0 to 1 in percent; 100% and 0% only if exact."""
    if value is None:
        return "–"
    percent = value * 100
    if 99.9 <= percent < 100:
        return "> 99.9%"
    if 0 < percent < 0.1:
        return "< 0.1%"
    return f"{percent:.1f}%" if 99 <= percent < 100 else f"{_count(percent)}%"


def minute(at: datetime | None) -> str:
    """A time in UTC to the minute; an en dash for None."""
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M}"


def day_and_time(at: datetime | None) -> str:
    """The same without the year, for a narrow column."""
    return "–" if at is None else f"{at.day} {at:%b %H:%M}"


def span_labels(bounds: Sequence[int]) -> list[str]:
    """Texts of the buckets below each bound in seconds, and of the one above the last."""
    below = ["0" if bound == 1 else f"< {duration(bound)}" for bound in bounds]
    return [*below, f"≥ {duration(bounds[-1])}"]


WIDTH = 540
IMAGE_WIDTH = 640
"""Of a chart as a file; without it a viewer stretches it to its own width."""
PLOT_HEIGHT = 170
LEFT, RIGHT, TOP, BOTTOM = 53, 24, 14, 26
ROW_HEIGHT = 38
CHARACTER = 5.8
"""Width of an average character at 11 px in a wide font."""
PHONE_CHARACTER = 10.0
"""The same at the 17 px that a narrow page sets (``base.html.j2``)."""
SCALE = (1, 10, 60, 600, 3_600, 36_000, 86_400, 604_800)
"""Ticks of the scale of durations, in seconds."""

LIGHT = {
    "ink": "#1c2330", "soft": "#5d6678", "line": "#e3e6eb", State.DELIVERED: "#1d8a63",
    State.PENDING: "#3f6fd8", State.AWAITING: "#8fb4f0", State.HELD: "#d99a1c",
    State.DEAD: "#c43d4b", "accent": "#6d55c9",
}  # fmt: skip
DARK = {
    "ink": "#e6e9ef", "soft": "#98a2b3", "line": "#2b323e", State.DELIVERED: "#45b98d",
    State.PENDING: "#6b93ee", State.AWAITING: "#3d5f9c", State.HELD: "#e0b04c",
    State.DEAD: "#ee6d78", "accent": "#a58ff0",
}  # fmt: skip
NEUTRAL = LIGHT | {"ink": "#767676", "soft": "#767676", "line": "#8884"}
"""Readable on both white and black, for an image with an unknown background."""


@dataclass(frozen=True)
class Series:
    """One color of a stacked column chart."""

    name: str
    tone: str
    """A name of ``LIGHT``."""
    values: Sequence[float | None]
    """One per label; None draws nothing."""


@dataclass(frozen=True)
class Span:
    """One row of a span chart, in seconds."""

    label: str
    low: float
    high: float


def columns(
    series: Sequence[Series], labels: Sequence[str], *, title: str, text: str, unit: str = ""
) -> str:
    """Stacked columns, one per label, from 0; empty if no column is above it.

    ``unit`` follows each value, such as `` %``.
    """
    highest = max(
        (sum(one.values[n] or 0 for one in series) for n in range(len(labels))), default=0
    )
    if not highest:
        return ""
    ticks = _ticks(100.0 if unit == "%" else highest)
    parts: list[str] = []
    top = TOP + (22 if len(series) > 1 else 0)
    base = top + PLOT_HEIGHT

    def y(value: float) -> float:
        return base - value / ticks[-1] * PLOT_HEIGHT

    for tick in ticks:
        parts.append(_line(LEFT, y(tick), WIDTH - RIGHT, y(tick)))
        parts.append(_text(LEFT - 8, y(tick) + 4, _count(tick) + unit, anchor="end"))
    slot = (WIDTH - LEFT - RIGHT) / max(len(labels), 1)
    longest = max(map(len, labels), default=1)
    apart = math.ceil((longest * CHARACTER + 5) / slot)
    apart_on_a_phone = apart * math.ceil((longest * PHONE_CHARACTER + 5) / slot / apart)
    for n, label in enumerate(labels):
        x, below = LEFT + slot * n, 0.0
        for one in series:
            value = one.values[n]
            if value:
                upper = y(below + value)
                tip = f"{label}, {one.name}: {_count(value)}{unit}"
                parts.append(
                    f'<rect x="{x + slot * 0.12:.1f}" y="{upper:.1f}" width="{slot * 0.76:.1f}" '
                    f'height="{max(y(below) - upper, 0.8):.1f}" fill="var(--{one.tone})">'
                    f"<title>{escape(tip)}</title></rect>"
                )
                below += value
        # Counted from the end: people look for the newest day.
        older = len(labels) - 1 - n
        if older % apart == 0:
            is_crowded = older % apart_on_a_phone > 0
            at = x + slot / 2, base + 18
            parts.append(_text(*at, label, anchor="middle", is_crowded=is_crowded))
    if len(series) > 1:
        parts += _legend(
            [
                (one.name, f'<rect width="10" height="10" rx="2" fill="var(--{one.tone})"/>')
                for one in series
            ]
        )
    return _svg(parts, height=base + BOTTOM, title=title, text=text)


def spans(rows: Sequence[Span], *, title: str, text: str, names: tuple[str, str]) -> str:
    """A row per label on a logarithmic scale of durations: a dot at one end, a ring at the other.

    If both ends are equal, the dot is inside the ring, so neither hides the other. Empty if there
    is no row.
    """
    if not rows:
        return ""
    ticks = _duration_ticks(rows)
    first, last = math.log10(ticks[0]), math.log10(ticks[-1])
    top = TOP + 22
    base = top + ROW_HEIGHT * len(rows)

    def x(seconds: float) -> float:
        part = (math.log10(max(seconds, ticks[0])) - first) / (last - first)
        return RIGHT + part * (WIDTH - 2 * RIGHT)

    parts = []
    for tick in ticks:
        parts.append(_line(x(tick), top - 4, x(tick), base))
        parts.append(_text(x(tick), base + 18, duration(tick), anchor="middle"))
    for n, row in enumerate(rows):
        y = top + ROW_HEIGHT * n
        both = f"{duration(row.low)} – {duration(row.high)}"
        parts.append(_text(0, y + 13, _cut(row.label, len(both)), anchor="start", tone="ink"))
        parts.append(_text(WIDTH, y + 13, both, anchor="end"))
        y += 26
        parts.append(
            f'<line x1="{x(row.low):.1f}" y1="{y}" x2="{x(row.high):.1f}" y2="{y}" '
            f'stroke="var(--{State.PENDING})" stroke-width="3" opacity="0.45"/>'
        )
        for value, name, drawn in (
            (row.high, names[1], _ring("accent")),
            (row.low, names[0], _dot(State.PENDING)),
        ):
            tip = f"{row.label}, {name}: {duration(value)}"
            parts.append(
                f'<circle cx="{x(value):.1f}" cy="{y}" {drawn}>'
                f"<title>{escape(tip)}</title></circle>"
            )
    marks = [(names[0], _dot(State.PENDING)), (names[1], _ring("accent"))]
    parts += _legend([(name, f'<circle cx="5" cy="5" {drawn}/>') for name, drawn in marks])
    return _svg(parts, height=base + BOTTOM, title=title, text=text)


def standalone(svg: str) -> str:
    """The chart as a standalone file, with colors for any background."""
    colors = ";".join(f"--{name}:{value}" for name, value in NEUTRAL.items())
    head, rest = svg.split(">", 1)
    return f'{head} width="{IMAGE_WIDTH}"><style>svg{{{colors}}}</style>{rest}'


def _svg(parts: Sequence[str], *, height: float, title: str, text: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(f"{title}. {text}")}" font-family="system-ui, Segoe UI, Roboto, '
        f'Helvetica, Arial, sans-serif" font-size="11">{"".join(parts)}</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        'stroke="var(--line)" stroke-width="1"/>'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str, tone: str = "soft", is_crowded: bool = False
) -> str:
    """``is_crowded``: it does not fit on a phone."""
    crowded = ' class="crowded"' if is_crowded else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="var(--{tone})"{crowded}>'
        f"{escape(text)}</text>"
    )


def _dot(tone: str) -> str:
    return f'r="3.5" fill="var(--{tone})"'


def _ring(tone: str) -> str:
    return f'r="6" fill="none" stroke="var(--{tone})" stroke-width="2.5"'


def _legend(marks: Sequence[tuple[str, str]]) -> list[str]:
    """Names with their marks, which are 10 by 10."""
    parts, x = [], 8.0
    for name, mark in marks:
        parts.append(f'<g transform="translate({x:.1f} 6)">{mark}</g>')
        parts.append(_text(x + 15, 15, name, anchor="start"))
        x += 15 + len(name) * PHONE_CHARACTER + 14
    return parts


def _ticks(highest: float) -> list[float]:
    """From 0 to at least the highest value, in four to six round steps; whole ones below 5."""
    rough = highest / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(one * size for one in (1, 2, 5, 10) if one * size >= rough)
    step = max(step, 1.0)
    return [step * n for n in range(math.ceil(highest / step - 1e-9) + 1)]


def _duration_ticks(rows: Sequence[Span]) -> list[int]:
    low = min((row.low for row in rows), default=1)
    high = max((row.high for row in rows), default=60)
    begin = max((n for n, tick in enumerate(SCALE) if tick <= max(low, 1)), default=0)
    end = next((n for n, tick in enumerate(SCALE) if tick >= high), len(SCALE) - 1)
    return list(SCALE[begin : max(end, begin + 1) + 1])


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 10 else f"{value:.1f}"


def _cut(text: str, beside: int) -> str:
    """What fits on a phone next to that number of characters."""
    most = int(WIDTH / PHONE_CHARACTER) - beside - 2
    return text if len(text) <= most else f"{text[: most - 1]}…"
