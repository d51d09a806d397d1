"""The report as one HTML file: charts as inline SVG, no script, nothing loaded from anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sync.domain.states import State
from sync.operations.report.charts import (
    Series,
    Span,
    columns,
    day_and_time,
    duration,
    minute,
    share,
    span_labels,
    spans,
)
from sync.operations.report.costs import NOT_MEASURED, Costs
from sync.operations.report.figures import DELIVERY_BUCKETS, STUDY_BUCKETS, EndpointFigures, Figures
from sync.operations.report.look import html

STATES = (State.DELIVERED, State.PENDING, State.AWAITING, State.HELD, State.DEAD)
MOST_ENDPOINTS = 8
"""Rows of the chart of endpoints."""
MOST_ROWS = 200
"""Rows of a table of endpoints."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One picture, the sentence that says what it shows, and its numbers."""

    name: str
    """A valid metadata key."""
    title: str
    text: str
    svg: str
    """Empty if there is nothing to draw; the text then says why."""
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def charts(figures: Figures) -> list[Chart]:
    """The pictures of a period in which something was recorded."""
    return [
        outcomes(figures),
        undelivered(figures),
        enrichment(figures),
        study(figures),
        latency(figures),
        endpoint_latency([one for one in figures.endpoints if one.p95_seconds is not None]),
    ]


def outcomes(figures: Figures) -> Chart:
    """The outcomes of the webhooks of each day."""
    title = "Webhooks by outcome"
    delivered = figures.states.get(State.DELIVERED, 0)
    text = (
        f"By the day on which they were recorded: {delivered:,} of {figures.to_send:,} are "
        f"delivered, {share(figures.delivered_share)}."
        if figures.to_send
        else "None of the recorded ones is to be sent."
    )
    if figures.suppressed:
        text += f" Not drawn: {figures.suppressed:,} suppressed, which are never sent."
    return _by_day(figures, STATES, name="what_became_of_webhooks", title=title, text=text)


def undelivered(figures: Figures) -> Chart:
    """The same without the delivered ones, which would hide the others."""
    title = "Not delivered"
    counts = {name: figures.states.get(name, 0) for name in STATES[1:]}
    listed = _listing({name: count for name, count in counts.items() if count})
    nothing = "Nothing to draw: every webhook to be sent is delivered."
    text = f"On the same days: {listed}." if listed else nothing
    return _by_day(figures, STATES[1:], name="not_delivered", title=title, text=text)


def _by_day(figures: Figures, states: Sequence[str], *, name: str, title: str, text: str) -> Chart:
    series = [Series(one, one, [day.states.get(one, 0) for day in figures.days]) for one in states]
    listed = [*states, State.SUPPRESSED]
    return Chart(
        name=name,
        title=title,
        text=text,
        svg=columns(series, _labels(figures), title=title, text=text),
        head=["day", *listed],
        rows=[
            [f"{day.date}", *(f"{day.states.get(one, 0):,}" for one in listed)]
            for day in reversed(figures.days)
        ],
    )


def enrichment(figures: Figures) -> Chart:
    """The share of completions that carry learning time, day by day."""
    title = "Completions with learning time"
    without = _without_learning_time(figures)
    if not figures.built:
        text = "Nothing to draw: no message of a completion was built on these days."
    elif not figures.enriched_share:
        text = f"Nothing to draw: none of {figures.built:,} carries it: {without}."
    else:
        text = f"Share by day: {share(figures.enriched_share)} of {figures.built:,} carry it. "
        text += f"The others: {without}." if without else "None goes without."
    shares = [day.enriched / day.built if day.built else None for day in figures.days]
    percents = [None if one is None else one * 100 for one in shares]
    return Chart(
        name="completions_with_learning_time",
        title=title,
        text=text,
        svg=columns(
            [Series("with learning time", "accent", percents)],
            _labels(figures),
            title=title,
            text=text,
            unit="%",
        ),
        head=["day", "completions", "with learning time", "share"],
        rows=[
            [f"{day.date}", f"{day.built:,}", f"{day.enriched:,}", share(of_day)]
            for day, of_day in zip(reversed(figures.days), reversed(shares), strict=True)
        ],
    )


def latency(figures: Figures) -> Chart:
    """How long webhooks took from recording to delivery."""
    return _distribution(
        name="time_to_delivery",
        title="Time to delivery",
        what="webhooks arrived within",
        why_none="nothing was delivered on these days",
        counts=figures.delivery_counts,
        bounds=DELIVERY_BUCKETS,
        tone=State.DELIVERED,
    )


def study(figures: Figures) -> Chart:
    """How long learners studied up to the completion, as it was sent."""
    without = _without_learning_time(figures)
    return _distribution(
        name="learning_time_sent",
        title="Learning time sent",
        what="learners studied less than",
        why_none=f"no message carries it: {without}" if without else "no message was built",
        counts=figures.study_counts,
        bounds=STUDY_BUCKETS,
        tone="accent",
    )


def endpoint_latency(endpoints: Sequence[EndpointFigures]) -> Chart:
    """Median and 95th percentile of the time to delivery, the slowest endpoints first."""
    slowest = sorted(endpoints, key=lambda one: -(one.p95_seconds or 0))
    shown = slowest[:MOST_ENDPOINTS]
    title = "Time to delivery by endpoint"
    which = f"The {len(shown)} slowest of {len(slowest)}" if len(slowest) > len(shown) else "All"
    text = (
        f"{which}: half of the webhooks arrived by the dot, 95% by the ring."
        if shown
        else "Nothing to draw: nothing was delivered on these days."
    )
    rows = [
        Span(f"{one.endpoint_id} · {one.host}", one.p50_seconds or 0, one.p95_seconds or 0)
        for one in shown
    ]
    return Chart(
        name="time_to_delivery_by_endpoint",
        title=title,
        text=text,
        svg=spans(rows, title=title, text=text, names=("half", "95%")),
        head=["endpoint", "p50", "p95", "p95 of responses"],
        rows=[
            [
                f"{one.endpoint_id} · {one.host}",
                duration(one.p50_seconds),
                duration(one.p95_seconds),
                "–" if one.attempt_p95_ms is None else f"{one.attempt_p95_ms:,.0f} ms",
            ]
            for one in slowest[:MOST_ROWS]
        ],
    )


def _without_learning_time(figures: Figures) -> str:
    return _listing({name: count for name, count in figures.reasons.items() if name != "found"})


def _distribution(
    *,
    name: str,
    title: str,
    what: str,
    why_none: str,
    counts: Sequence[int],
    bounds: tuple[int, ...],
    tone: str,
) -> Chart:
    labels, total = span_labels(bounds), sum(counts)
    text = f"Nothing to draw: {why_none}."
    if total:
        text = f"{total:,} in all. {_half(counts, bounds, what)}"
    return Chart(
        name=name,
        title=title,
        text=text,
        svg=columns([Series(title.lower(), tone, counts)], labels, title=title, text=text),
        head=["span", "webhooks", "share"],
        rows=[
            [label, f"{count:,}", share(count / total if total else None)]
            for label, count in zip(labels, counts, strict=True)
        ],
    )


def _half(counts: Sequence[int], bounds: tuple[int, ...], what: str) -> str:
    """The first bound below which at least half of them are."""
    below, total = 0, sum(counts)
    for count, bound in zip(counts, bounds, strict=False):
        below += count
        if 2 * below >= total:
            return f"{share(below / total)} of the {what} {duration(bound)}."
    return f"Most are beyond {duration(bounds[-1])}."


def _listing(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def _labels(figures: Figures) -> list[str]:
    return [f"{day.date.day} {day.date:%b}" for day in figures.days]


HEAD = (
    "state", "endpoint", "host", "region", "delivered", "open", "held", "given up", "2xx",
    "p50", "p95", "oldest open", "last delivery",
)  # fmt: skip
CORRECTIONS_HEAD = ("correction", "why", "webhooks")
COSTS_HEAD = ("part", "credits", "per day", "share", "queries")


def render(figures: Figures) -> str:
    """The page. It names endpoints by id and host, and nothing else."""
    drawn = [] if figures.is_empty else charts(figures)
    return html(
        "page.html.j2",
        made_at=minute(figures.made_at),
        period=f"The last {len(figures.days)} days" if len(figures.days) > 1 else "Today",
        computed_through=minute(figures.computed_through),
        is_empty=figures.is_empty,
        counts=_counts(figures),
        charts=drawn,
        endpoints_head=HEAD,
        endpoints=[_row(one) for one in figures.endpoints[:MOST_ROWS]],
        endpoints_text=_endpoints_text(figures.endpoints),
        corrections_head=CORRECTIONS_HEAD,
        corrections=[
            [one.became, one.reason or "–", f"{one.count:,}"] for one in figures.corrections
        ],
        corrections_text=corrections_text(figures),
        costs_head=COSTS_HEAD,
        costs=_cost_rows(figures.costs) if figures.costs else [],
        costs_text=costs_text(figures.costs) if figures.costs else NOT_MEASURED,
    )


def _counts(figures: Figures) -> list[tuple[str, str]]:
    states = figures.states
    waiting = states.get(State.PENDING, 0) + states.get(State.AWAITING, 0)
    return [
        ("recorded", f"{figures.recorded:,}"),
        ("suppressed", f"{figures.suppressed:,}"),
        ("delivered", share(figures.delivered_share)),
        ("in progress", f"{waiting:,}"),
        ("held", f"{states.get(State.HELD, 0):,}"),
        ("given up", f"{states.get(State.DEAD, 0):,}"),
        ("with learning time", share(figures.enriched_share)),
    ]


def _endpoints_text(endpoints: Sequence[EndpointFigures]) -> str:
    shown = min(len(endpoints), MOST_ROWS)
    text = (
        "Counts are all-time, times to delivery are those of the period, times are in UTC. "
        "Endpoints that need attention come first."
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


def corrections_text(figures: Figures) -> str:
    """The outcomes of the corrections of the period."""
    counts = Counter[str]()
    for one in figures.corrections:
        counts[one.became] += one.count
    return (
        "Completions whose learning time has changed since it was sent, for endpoints "
        f"that ask for corrections: {counts['told']:,} told, {counts['waiting']:,} waiting, "
        f"{counts['refused']:,} refused."
    )


def costs_text(costs: Costs) -> str:
    """What the product costs, as far as the history knows."""
    webhooks, lines = costs.per_thousand_webhooks, costs.per_million_lines
    return (
        f"{costs.credits_a_day:,.2f} credits a day over {costs.days} whole days; "
        f"{_credits(webhooks)} per thousand webhooks delivered (delivery), "
        f"{_credits(lines)} per million tracking lines (models). Idle time of a running "
        "warehouse and the shortest queries are not included: the bill is higher."
    )


def _cost_rows(costs: Costs) -> list[list[str]]:
    whole = sum(one.credits for one in costs.parts)
    return [
        [
            one.part,
            _credits(one.credits),
            _credits(one.credits / costs.days),
            share(one.credits / whole if whole else None),
            f"{one.query_count:,}",
        ]
        for one in costs.parts
    ]


def _credits(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3f}"
