"""The report's numbers are those of the ledger, through the delivery marts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sync.local.raw_tables import insert_rows
from sync.operations.report.figures import EndpointFigures, Figures, read_figures
from sync.operations.report.page import render, write
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


@pytest.fixture(scope="module")
def built(scenarios: Scenarios, dbt: Dbt) -> Iterator[Warehouse]:
    """The marts that the report reads, over two endpoints and a few webhooks."""
    scenarios.stand("nothing")
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        prepare(opened)
        fill(opened)
        dbt("run", "--select", "+webhook_deliveries", "+endpoint_health")
        opened.execute(
            "create table analytics.marts.learning_time_watermark (computed_through timestamp_ntz)"
        )
        yield opened


@pytest.fixture(scope="module")
def figures(built: Warehouse) -> Figures:
    return read_figures(built, days=7)


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


def delivered(user_id: int, seconds: int) -> dict[str, object]:
    at = NOW + timedelta(seconds=seconds)
    return webhook(user_id, NOW, delivered_at=at.isoformat())


def test_every_day_of_the_period_is_there_with_what_became_of_its_webhooks(
    figures: Figures,
) -> None:
    assert len(figures.days) == 7
    *before, yesterday, today = figures.days
    assert (today.date, today.states) == (NOW.date(), {"delivered": 10, "dead": 1})
    assert yesterday.states == {"held": 1, "awaiting": 1}
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


def test_the_report_names_hosts_and_no_learner_url_or_secret(figures: Figures) -> None:
    html = render(figures)
    assert "hooks-1.example.com" in html
    for hidden in (str(USER_ID), ENTERPRISE, "secret", "word", "8443", "/in"):
        assert hidden not in html


def test_the_number_of_statements_does_not_grow_with_the_ledger(
    built: Warehouse, figures: Figures
) -> None:
    before = built.statements
    read_figures(built, days=90)
    assert built.statements - before == 7


def test_the_command_writes_the_page(
    built: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    ltw = command_line(monkeypatch, capfd)
    target = tmp_path / "new" / "report.html"
    done = ltw("report", "--to", str(target), "--days", "7", "--json")
    assert done.document["states"] == {"delivered": 10, "dead": 1, "held": 1, "awaiting": 1}
    assert "What became of webhooks" in target.read_text(encoding="utf-8")
    assert [one.name for one in target.parent.iterdir()] == ["report.html"]


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
    dbt(*docs[1:])
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
    assert "--to: cannot write" in done.text


def test_a_new_report_replaces_the_old_one_whole(figures: Figures, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    assert write(figures, path) == path.resolve()
    assert path.read_text(encoding="utf-8").endswith("</html>")
