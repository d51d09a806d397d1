"""The report's page and charts: complete, readable, and without external resources."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from sync.operations.report.charts import (
    CHARACTER,
    DARK,
    LIGHT,
    NEUTRAL,
    PHONE_CHARACTER,
    WIDTH,
    Series,
    Span,
    columns,
    duration,
    share,
    span_labels,
    spans,
    standalone,
)
from sync.operations.report.figures import (
    DELIVERY_BUCKETS,
    STUDY_BUCKETS,
    CorrectionFigures,
    Day,
)
from sync.operations.report.page import MOST_ENDPOINTS, MOST_ROWS, charts, render
from tests.support.page import Page
from tests.support.report_figures import COSTS, TODAY, endpoint_figures, figures

SVG = "{http://www.w3.org/2000/svg}"
MONTH = [n * 37 % 900 for n in range(1, 31)]


def test_the_page_needs_nothing_from_anywhere_and_runs_nothing() -> None:
    page = Page(render(figures(counts=MONTH)))
    assert page.count("script") == 0
    assert page.links() == ["data:,"]
    assert "@import" not in render(figures(counts=MONTH))
    assert "url(" not in render(figures(counts=MONTH))


def test_every_chart_has_a_title_a_text_alternative_and_its_numbers_below() -> None:
    page = Page(render(figures(counts=MONTH)))
    drawings = [attributes for tag, attributes in page.seen if tag == "svg"]
    assert len(drawings) == 6
    assert all(one["role"] == "img" and len(one["aria-label"] or "") > 20 for one in drawings)
    assert page.count("details") == 6
    assert page.count("table") == 7
    assert page.count("h1") == 1
    assert ("html", {"lang": "en"}) in page.seen


def test_the_page_follows_the_readers_light_or_dark_setting() -> None:
    html = render(figures(counts=MONTH))
    light, dark = html.split("@media (prefers-color-scheme: dark)")
    assert f"--soft: {LIGHT['soft']}" in light
    assert f"--soft: {DARK['soft']}" in dark
    used = set(re.findall(r"var\(--([a-z]+)\)", html))
    assert used <= set(LIGHT) | {"page", "card"}


def test_what_was_recorded_is_said_with_what_of_it_is_never_sent() -> None:
    day = Day(date=TODAY.date(), states={"delivered": 27, "held": 9, "suppressed": 2}, built=0)
    found = replace(figures(counts=[1]), days=[day])
    html = render(found)
    for tile in ("<b>38</b><span>recorded", "<b>2</b><span>suppressed", "<b>75%"):
        assert tile in html
    assert "27 of 36 are delivered" in html
    assert "2 suppressed" in charts(found)[0].text
    assert charts(found)[0].rows[0][-1] == "2"


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("what_became_of_webhooks", {"states": {"suppressed": 2}}, "None of the recorded ones"),
        ("not_delivered", {"states": {"delivered": 2}}, "every webhook to be sent"),
        ("completions_with_learning_time", {"built": 0}, "no message of a completion was built"),
        ("completions_with_learning_time", {"built": 9}, "none of 9 carries it: 9 flag off"),
        ("learning_time_sent", {}, "no message carries it: 9 flag off"),
        ("time_to_delivery", {}, "nothing was delivered"),
        ("time_to_delivery_by_endpoint", {}, "nothing was delivered"),
    ],
)
def test_a_chart_with_nothing_to_draw_says_why_in_its_place(
    name: str, changes: dict[str, Any], why: str
) -> None:
    bare = replace(
        figures(counts=[1], endpoints=0),
        days=[Day(**{"date": TODAY.date(), "states": {"held": 1}, "built": 0} | changes)],
        reasons={"flag_off": 9},
        delivery_counts=[0] * (len(DELIVERY_BUCKETS) + 1),
        study_counts=[0] * (len(STUDY_BUCKETS) + 1),
    )
    (chart,) = (one for one in charts(bare) if one.name == name)
    assert chart.svg == ""
    assert why in chart.text
    assert render(bare).count("<svg") == sum(bool(one.svg) for one in charts(bare))


@pytest.mark.parametrize("counts", [[0] * 30, [0]], ids=["a quiet month", "one day"])
def test_without_a_webhook_the_page_says_so(counts: list[int]) -> None:
    html = render(figures(counts=counts))
    assert "Nothing was recorded in this period" in html
    assert "<svg" not in html
    assert "hooks-1.example.com" in html


def test_a_first_installation_without_endpoints_and_marts_still_has_a_page() -> None:
    nothing = replace(figures(counts=[0], endpoints=0), computed_through=None)
    assert "Learning time is computed up to –" in " ".join(render(nothing).split())


def test_costs_are_a_table_and_stand_for_a_webhook_and_a_line() -> None:
    html = render(replace(figures(counts=MONTH), costs=COSTS))
    assert Page(html).count("table") == 8
    assert "2.00 credits a day over 30 whole days" in html
    assert "3.000 per thousand webhooks delivered" in html
    assert "0.500 per million tracking lines" in html
    assert re.findall(r"<td[^>]*>(\S+)</td>", html.partition("Warehouse costs")[2]) == [
        *("models", "45.000", "1.500", "75%", "90,000"),
        *("delivery", "15.000", "0.500", "25%", "30,000"),
    ]


def test_corrections_are_told_waiting_or_refused_and_left_out_without_any() -> None:
    made = [("told", "", 7), ("waiting", "endpoint_disabled", 2), ("refused", "final_status", 1)]
    found = [CorrectionFigures(became=one, reason=why, count=n) for one, why, n in made]
    html = render(replace(figures(counts=MONTH), corrections=found))
    assert "7 told, 2 waiting, 1 refused" in html
    part = html.partition("<h2>Corrections</h2>")[2].partition("</section>")[0]
    assert re.findall(r"<td[^>]*>([^<]+)</td>", part) == [
        *("told", "–", "7"),
        *("waiting", "endpoint_disabled", "2"),
        *("refused", "final_status", "1"),
    ]
    assert "Corrections" not in render(figures(counts=MONTH))


def test_costs_of_nothing_are_no_number() -> None:
    idle = replace(COSTS, parts=[], delivered=0, lines=0)
    assert (idle.credits_a_day, idle.per_thousand_webhooks, idle.per_million_lines) == (
        0,
        None,
        None,
    )


@pytest.mark.parametrize("counts", [MONTH, [0]], ids=["with webhooks", "without"])
def test_where_costs_are_not_measured_the_page_says_how_to_turn_them_on(counts: list[int]) -> None:
    text = render(figures(counts=counts)).partition("Warehouse costs")[2]
    assert "Not measured" in text
    for step in ("is_cost_history_read", "snowflake.usage_viewer", "learning_time_job"):
        assert step in text
    assert "<table" not in text


def test_hundreds_of_endpoints_stay_readable() -> None:
    page = render(figures(counts=MONTH, endpoints=5_000))
    assert len(page) < 400_000
    assert f"The first {MOST_ROWS} of 5,000" in page
    [chart] = [
        one
        for one in charts(figures(counts=MONTH, endpoints=5_000))
        if one.name == "time_to_delivery_by_endpoint"
    ]
    assert chart.svg.count("<title>") == 2 * MOST_ENDPOINTS
    assert f"{MOST_ENDPOINTS} slowest of 5000" in chart.text


def test_a_host_is_text_and_never_markup() -> None:
    hostile = endpoint_figures(1, host='"><script>alert(1)</script>')
    html = render(replace(figures(counts=MONTH), endpoints=[hostile]))
    assert Page(html).count("script") == 0
    assert "&lt;script&gt;" in html


def test_charts_stay_small_enough_for_metadata() -> None:
    """Dagster keeps them forever, with each materialization."""
    drawn = charts(figures(counts=MONTH * 3, endpoints=100))
    assert sum(len(standalone(one.svg)) for one in drawn) < 100_000


def test_a_chart_as_a_file_is_well_formed_and_brings_its_own_colors() -> None:
    for chart in charts(figures(counts=MONTH)):
        text = standalone(chart.svg)
        ElementTree.fromstring(text)  # noqa: S314
        used = set(re.findall(r"var\(--([a-z]+)\)", text))
        assert used <= set(NEUTRAL)


@pytest.mark.parametrize("count", [1, 2, 7, 30, 90])
@pytest.mark.parametrize("character", [CHARACTER, PHONE_CHARACTER], ids=["wide", "phone"])
def test_labels_of_columns_never_overlap_and_the_newest_is_there(
    count: int, character: float
) -> None:
    labels = [f"{n % 28 + 1} Nov" for n in range(count)]
    svg = columns([Series("webhooks", "dead", [1] * count)], labels, title="t", text="x")
    shown = [
        (float(one.get("x", "")), one.text or "")
        for one in texts(svg, "middle")
        if character == CHARACTER or one.get("class") != "crowded"
    ]
    assert shown[-1][1] == labels[-1]
    for (left, one), (right, other) in pairwise(shown):
        assert right - left >= (len(one) + len(other)) / 2 * character
    assert shown[-1][0] + len(labels[-1]) / 2 * character <= WIDTH


def test_every_span_of_the_distributions_has_its_label() -> None:
    labels = span_labels(STUDY_BUCKETS)
    svg = columns([Series("learners", "accent", [1] * 9)], labels, title="t", text="x")
    assert [one.text for one in texts(svg, "middle")] == labels


def test_columns_stand_on_each_other_and_are_as_high_as_their_values() -> None:
    svg = columns(
        [Series("good", "delivered", [30, 0]), Series("bad", "dead", [10, None])],
        ["a", "b"],
        title="t",
        text="x",
    )
    good, bad = [one for one in elements(svg, "rect") if one.find(f"{SVG}title") is not None]
    assert float(good.get("height", "")) == pytest.approx(
        3 * float(bad.get("height", "")), rel=0.01
    )
    below = float(bad.get("y", "")) + float(bad.get("height", ""))
    assert below == pytest.approx(float(good.get("y", "")), abs=0.11)
    assert [one.findtext(f"{SVG}title") for one in (good, bad)] == ["a, good: 30", "a, bad: 10"]


@pytest.mark.parametrize("highest", [1, 2, 3, 7, 10, 99, 1_001, 123_456, 1_000_000])
def test_the_scale_reaches_the_highest_value_in_few_whole_steps(highest: int) -> None:
    svg = columns([Series("webhooks", "dead", [highest])], ["a"], title="t", text="x")
    ticks = [int((one.text or "").replace(",", "")) for one in texts(svg, "end")]
    assert ticks[0] == 0
    assert ticks[-1] >= highest
    assert 2 <= len(ticks) <= 7
    assert ticks == sorted(set(ticks))


def test_a_share_is_drawn_against_a_hundred_percent() -> None:
    svg = columns([Series("s", "accent", [12.0])], ["a"], title="t", text="x", unit="%")
    assert [one.text for one in texts(svg, "end")][-1] == "100%"


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([Span("one", 0.0, 0.2)], id="below a second"),
        pytest.param([Span("one", 5, 5)], id="both ends equal"),
        pytest.param([Span("a", 3, 90), Span("b", 4_000, 900_000)], id="seconds to ten days"),
    ],
)
def test_the_marks_of_a_span_lie_within_the_chart_in_order_and_hide_neither(
    rows: list[Span],
) -> None:
    svg = spans(rows, title="t", text="x", names=("half", "95%"))
    marks = elements(svg, "circle")
    rings, dots = marks[::2], marks[1::2]
    assert len(dots) == len(rings) == len(rows)
    for ring, dot in zip(rings, dots, strict=True):
        assert 0 < float(dot.get("cx", "")) <= float(ring.get("cx", "")) <= WIDTH
        assert ring.get("fill") == "none"
        assert float(ring.get("r", "")) > float(dot.get("r", "")) + 1
    ends = [one.text for one in texts(svg, "end")]
    assert ends == [f"{duration(one.low)} – {duration(one.high)}" for one in rows]


@pytest.mark.parametrize(
    ("theme", "ground", "least"),
    [
        pytest.param(LIGHT, "#ffffff", 4.5, id="light"),
        pytest.param(LIGHT, "#f6f7f9", 4.5, id="light page"),
        pytest.param(DARK, "#1a1f28", 4.5, id="dark"),
        pytest.param(NEUTRAL, "#ffffff", 4.5, id="an image on white"),
        pytest.param(NEUTRAL, "#030615", 4.0, id="an image on Dagster's dark"),
    ],
)
def test_text_stands_out_from_its_ground(theme: dict[str, str], ground: str, least: float) -> None:
    """4.5 is WCAG level AA; no gray reaches it on both white and black."""
    for name in ("ink", "soft"):
        assert contrast(theme[name], ground) >= least


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_neighboring_states_differ_in_brightness_and_not_in_hue_alone(
    theme: dict[str, str],
) -> None:
    assert contrast(theme["pending"], theme["awaiting"]) > 1.5
    assert contrast(theme["held"], theme["dead"]) > 1.25


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"), (0, "0 s"), (0.25, "0.2 s"), (59, "59 s"), (60, "1 min"), (90, "1.5 min"),
        (3_600, "1 h"), (115_200, "32 h"), (172_800, "2 d"), (604_800, "7 d"),
    ],
)  # fmt: skip
def test_a_duration_has_the_unit_that_people_would_use(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (0, "0%"), (0.0004, "< 0.1%"), (0.034, "3.4%"), (0.5, "50%"),
        (0.9946, "99.5%"), (0.99999, "> 99.9%"), (1, "100%"),
    ],
)  # fmt: skip
def test_what_is_not_all_never_reads_as_all(value: float | None, text: str) -> None:
    assert share(value) == text


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg).findall(f"{SVG}{tag}")  # noqa: S314


def texts(svg: str, anchor: str) -> list[ElementTree.Element]:
    return [one for one in elements(svg, "text") if one.get("text-anchor") == anchor]


def contrast(one: str, other: str) -> float:
    """Contrast ratio per WCAG, from 1 to 21."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: str) -> float:
    parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
