"""The report's numbers match the ledger's, through the delivery marts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from sync.local.raw_tables import insert_rows
from sync.operations.report.costs import Costs, PartCost, read_costs
from sync.operations.report.figures import EndpointFigures, Figures, read_figures
from sync.operations.report.look import write_whole
from sync.operations.report.page import render
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse, open_warehouse
from tests.dbt.scenario import ENTERPRISE, prepare
from tests.support.command_line import command_line
from tests.support.dbt import Dbt
from tests.support.ledger_rows import attempt, endpoint_state, webhook, write_ledger
from tests.support.scenarios import Scenarios

NOW = datetime.now(UTC).replace(tzinfo=None, hour=12)
YESTERDAY = NOW - timedelta(days=1)
USER_ID = 987_654_321
HISTORY = (
    # query tag, days before today at noon, credits, credits of query acceleration
    ("learning-time-webhooks:dbt", 8, 0.75, 0.25),
    ("learning-time-webhooks:prepare", 1, 0.5, None),
    ("learning-time-webhooks:check", 1, 0.125, None),
    ("learning-time-webhooks:deliver", 1, 0.125, None),
    ("learning-time-webhooks:replay", 1, 0.0625, None),
    ("learning-time-webhooks:deliver", 0, 9, None),
    ("learning-time-webhooks:deliver", 40, 9, None),
    ("learning-time-webhooks:deliver", 93, 9, None),
    ("learning-time-webhooks-2:deliver", 1, 9, None),
    ("", 1, 9, None),
    (None, 1, 9, None),
)
"""Usage of the account: some is older than the report or the mart, or not ours."""


@pytest.fixture(scope="module")
def built(scenarios: Scenarios, dbt: Dbt) -> Iterator[Warehouse]:
    """The marts that the report reads, over two endpoints and a few webhooks."""
    scenarios.stand("nothing")
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        prepare(opened)
        fill(opened)
        write_history(opened)
        marts = ("+webhook_deliveries", "+endpoint_health", "+warehouse_costs")
        dbt("run", "--select", *marts, "--vars", "{is_cost_history_read: true}")
        opened.execute(
            "create table analytics.marts.learning_time_watermark (computed_through timestamp_ntz)"
        )
        opened.execute(
            f"""
            create table analytics.marts.tracking_line_counts as
            select
                dateadd(day, -days_ago, '{NOW.date()}'::date)::date as loaded_date,
                line_count::number(38, 0) as line_count
            from (values (0, 7), (8, 400000), (8, 100000), (9, 7)) as made (days_ago, line_count)
            """
        )
        yield opened


@pytest.fixture(scope="module")
def figures(built: Warehouse) -> Figures:
    with pytest.MonkeyPatch.context() as patch:
        stop_the_clock(patch)
        return read_figures(built, days=7)


def stop_the_clock(patch: pytest.MonkeyPatch) -> None:
    """Midnight may have passed meanwhile."""
    patch.setattr("sync.operations.report.figures.warehouse_clock", lambda warehouse: lambda: NOW)


def fill(warehouse: Warehouse) -> None:
    insert_rows(
        warehouse,
        "channel_integration_enterprisewebhookconfiguration",
        (
            {
                "id": number,
                "enterprise_customer_id": ENTERPRISE,
                "region": "EU",
                "webhook_url": f"https://user:word@hooks-{number}.example.com:8443/in?key=secret",
                "active": number != 4,
            }
            for number in (1, 2, 3, 4, 5)
        ),
    )
    quick = [delivered(USER_ID + n, seconds) for n, seconds in enumerate((0, 9, 10, 59, 60))]
    dead = webhook(2, NOW, endpoint_id=2, state="dead", delivered_at=None)
    open_rows = [
        webhook(3, YESTERDAY, endpoint_id=2, state="held", delivered_at=None),
        webhook(
            4, YESTERDAY, endpoint_id=None, state="awaiting", frozen_at=None, delivered_at=None
        ),
        webhook(
            5, YESTERDAY, endpoint_id=None, state="suppressed", frozen_at=None, delivered_at=None
        ),
        webhook(6, NOW - timedelta(days=7)),
        webhook(7, NOW - timedelta(days=9), endpoint_id=5, state="held", delivered_at=None),
    ]
    enriched = [
        webhook(
            10 + n, NOW, enrichment_outcome="found", learning_time_seconds=seconds, endpoint_id=3
        )
        for n, seconds in enumerate((0, 1, 1_799, 1_800, 200_000))
    ]
    write_ledger(
        warehouse,
        webhooks=[*quick, dead, *open_rows, *enriched],
        attempts=[
            *map(attempt, quick),
            *map(attempt, enriched),
            attempt(dead, outcome="dead", status_code=500),
        ],
        endpoint_states=[
            endpoint_state(2, NOW, breaker_state="open", consecutive_failures=9),
            endpoint_state(3, NOW, consecutive_failures=1),
        ],
    )


def write_history(warehouse: Warehouse) -> None:
    """The part that the models read."""
    warehouse.execute("create database if not exists snowflake")
    warehouse.execute("create schema if not exists snowflake.account_usage")
    warehouse.execute(
        "create or replace table snowflake.account_usage.query_attribution_history"
        " (query_id varchar, query_tag varchar, start_time timestamp_ltz,"
        " credits_attributed_compute float, credits_used_query_acceleration float)"
    )
    for tag, days_ago, credits, accelerated in HISTORY:
        warehouse.execute(
            "insert into snowflake.account_usage.query_attribution_history"
            " select uuid_string(), ?, cast(? as timestamp_tz), ?, ?",
            *(tag, f"{NOW - timedelta(days=days_ago)}+00:00", credits, accelerated),
        )


def delivered(user_id: int, seconds: int) -> dict[str, object]:
    at = NOW + timedelta(seconds=seconds)
    return webhook(user_id, NOW, delivered_at=at.isoformat())


def test_every_day_of_the_period_is_there_with_what_became_of_its_webhooks(
    figures: Figures,
) -> None:
    assert len(figures.days) == 7
    *before, yesterday, today = figures.days
    assert (today.date, today.states) == (NOW.date(), {"delivered": 10, "dead": 1})
    assert yesterday.states == {"held": 1, "awaiting": 1, "suppressed": 1}
    assert [day.states for day in before] == [{}] * 5


def test_the_share_with_learning_time_is_that_of_built_completions(figures: Figures) -> None:
    assert (figures.days[-1].built, figures.days[-1].enriched) == (11, 5)
    assert figures.reasons == {"flag_off": 7, "found": 5}


def test_a_bound_belongs_to_the_bucket_above_it(figures: Figures) -> None:
    """Under 10 s, under a minute, under 5 minutes; 0, under half an hour, under an hour."""
    assert list(figures.delivery_counts[:3]) == [2 + 5, 2, 1]
    assert list(figures.study_counts) == [1, 2, 1, 0, 0, 0, 0, 0, 1]


def test_an_endpoint_has_its_condition_and_its_speed(figures: Figures) -> None:
    found = {one.endpoint_id: one for one in figures.endpoints}
    assert {number: one.condition for number, one in found.items()} == {
        1: "good",
        2: "paused",
        3: "failing",
        4: "off",
        5: "held",
    }
    first: EndpointFigures = found[1]
    assert (first.delivered, first.p50_seconds, first.success_share) == (6, 10.0, 1.0)
    assert first.p95_seconds == pytest.approx(59.8)
    assert (found[2].dead, found[2].held, found[2].p95_seconds) == (1, 1, None)
    assert [one.endpoint_id for one in figures.endpoints] == [2, 5, 1, 3, 4]


def test_costs_are_those_of_whole_days_of_the_period(built: Warehouse) -> None:
    """The history lacks today, and also yesterday until 8 a.m."""
    noon = read_costs(built, now=NOW, days=30)
    early = read_costs(built, now=NOW.replace(hour=7), days=30)
    assert noon is not None
    assert early is not None
    models = PartCost(part="models", credits=1.5, query_count=2)
    delivery = PartCost(part="delivery", credits=0.25, query_count=2)
    operator = PartCost(part="operator", credits=0.0625, query_count=1)
    assert noon == Costs(days=8, parts=[models, delivery, operator], delivered=1, lines=500_000)
    assert (noon.per_thousand_webhooks, noon.per_million_lines) == (250, 3)
    assert noon.credits_a_month == 1.8125 / 8 * 31
    assert (early.days, [one.credits for one in early.parts]) == (7, [1])


def test_the_mart_has_our_queries_of_ninety_days(built: Warehouse) -> None:
    rows = built.rows("select credits, query_count from analytics.marts.warehouse_costs")
    assert sum(row["query_count"] for row in rows) == 7
    assert sum(row["credits"] for row in rows) == Decimal("19.8125")


def test_without_a_row_of_the_period_costs_are_not_measured(built: Warehouse) -> None:
    assert read_costs(built, now=NOW - timedelta(days=9), days=7) is None


def test_without_a_right_on_the_history_costs_are_not_measured(built: Warehouse) -> None:
    """Snowflake refuses to read a view if its owner may no longer read what is below it."""
    built.execute("begin")
    try:
        built.execute("drop view analytics.marts.warehouse_costs")
        assert read_costs(built, now=NOW, days=30) is None
    finally:
        built.execute("rollback")


def test_the_report_names_hosts_and_no_learner_url_or_secret(figures: Figures) -> None:
    html = render(figures)
    assert "hooks-1.example.com" in html
    for hidden in (str(USER_ID), ENTERPRISE, "secret", "word", ":8443", "/in"):
        assert hidden not in html


def test_the_number_of_statements_does_not_grow_with_the_ledger(
    built: Warehouse, figures: Figures
) -> None:
    before = built.statements
    read_figures(built, days=90)
    assert built.statements - before == 11


def test_the_command_writes_the_page(
    built: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stop_the_clock(monkeypatch)
    ltw = command_line(monkeypatch, capfd)
    target = tmp_path / "new" / "report.html"
    done = ltw("report", "--to", str(target), "--days", "7", "--json")
    assert done.document["states"] == {
        "delivered": 10,
        "dead": 1,
        "held": 1,
        "awaiting": 1,
        "suppressed": 1,
    }
    assert "Webhooks by outcome" in target.read_text(encoding="utf-8")
    assert [one.name for one in target.parent.iterdir()] == ["report.html"]


def test_the_command_has_the_costs_as_numbers(
    built: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stop_the_clock(monkeypatch)
    done = command_line(monkeypatch, capfd)("report", "--to", str(tmp_path / "a.html"), "--json")
    costs = done.document["costs"]
    assert costs["lines"] == 500_000
    assert costs["parts"][0]["part"] == "models"


def test_the_commands_of_the_document_work(
    built: Warehouse,
    dbt: Dbt,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    text = (PROJECT_ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    report, docs, serve = (shlex.split(line) for line in re.findall(r"^\.venv/bin/.*$", text, re.M))
    assert serve[:3] == [".venv/bin/dbt", "docs", "serve"], "it would never end"
    # Compilation is tested elsewhere and takes most of the time.
    dbt(*docs[1:], "--no-compile")
    monkeypatch.chdir(tmp_path)
    assert command_line(monkeypatch, capfd)(*report[1:]).code == 0
    assert (tmp_path / "report.html").exists()


def test_a_file_that_cannot_be_written_is_named(
    built: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    ltw = command_line(monkeypatch, capfd)
    done = ltw("report", "--to", str(tmp_path / "file" / "report.html"))
    assert done.code == 2
    assert "cannot write" in done.text


def test_a_new_report_replaces_the_old_one_whole(figures: Figures, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    assert write_whole(render(figures), path) == path.resolve()
    assert path.read_text(encoding="utf-8").endswith("</html>")
