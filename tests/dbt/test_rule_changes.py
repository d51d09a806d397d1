"""A rule change never mixes two rules in one history."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from sync.warehouse import Warehouse
from tests.dbt.scenario import BUILD_DAYS, RUN, Batch, daily, line, load, prepare
from tests.support.dbt import Dbt
from tests.support.scenarios import Scenarios

DAY = date(2026, 3, 4)
LOADED_AT = datetime(2026, 3, 5, 6, 0, tzinfo=UTC)
LINES = (
    line(7, "2026-03-04T09:00:00+00:00"),
    line(7, "2026-03-04T09:20:00+00:00", "page_close"),
    line(8, "2026-03-04T09:00:00+00:00"),
    line(8, "2026-03-04T09:02:00+00:00", "page_close"),
)
PUBLISHED = {(7, RUN, DAY): (1_200_000_000, 2, 1), (8, RUN, DAY): (120_000_000, 2, 1)}
SHORTER_TIMEOUT = ("--vars", "{session_timeout_seconds: 600}")


@pytest.fixture
def built(scenarios: Scenarios, warehouse: Warehouse, dbt: Dbt) -> Warehouse:
    def make(empty: Warehouse) -> None:
        prepare(empty)
        load(empty, Batch("one", LOADED_AT, LINES))
        dbt(*BUILD_DAYS)

    scenarios.stand("one rule", make)
    return warehouse


def test_a_changed_parameter_stops_the_run_and_says_how_to_go_on(
    built: Warehouse, dbt: Dbt
) -> None:
    load(built, Batch("two", LOADED_AT + timedelta(hours=1), (line(8, "2026-03-04T09:04:00Z"),)))

    with pytest.raises(AssertionError, match=r"session_timeout_seconds': 600.*--full-refresh"):
        dbt(*BUILD_DAYS, *SHORTER_TIMEOUT)
    assert daily(built) == PUBLISHED

    dbt(*BUILD_DAYS, *SHORTER_TIMEOUT, "--full-refresh")
    assert daily(built) == {
        (7, RUN, DAY): (0, 2, 2),
        (8, RUN, DAY): (240_000_000, 3, 1),
    }


def test_a_change_that_is_taken_back_leaves_no_trace(built: Warehouse, dbt: Dbt) -> None:
    with pytest.raises(AssertionError, match="int_tracking_events was built under rule"):
        dbt(*BUILD_DAYS, "--vars", "{tail_seconds: 60}")

    dbt(*BUILD_DAYS)

    assert daily(built) == PUBLISHED


def test_what_is_no_part_of_the_rule_may_change_at_any_time(built: Warehouse, dbt: Dbt) -> None:
    dbt(
        *BUILD_DAYS,
        *("--vars", "{watermark_delay_minutes: 30, late_arrival_days: 30, max_day_seconds: 1}"),
    )
    assert daily(built) == PUBLISHED


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ("{session_timeout_seconds: 86401}", "session_timeout_seconds is 86401"),
        ("{tail_seconds: 1801}", "tail_seconds is 1801"),
        ("{long_gap_rule: halve}", "long_gap_rule is halve and must be one of drop, cap"),
        ("{event_selection: all}", "event_selection is all and must be one of"),
    ],
    ids=lambda text: text.split(" ")[0],
)
def test_an_impossible_parameter_is_refused_by_name(
    built: Warehouse, dbt: Dbt, capsys: pytest.CaptureFixture[str], parameters: str, complaint: str
) -> None:
    with pytest.raises(AssertionError):
        dbt("compile", "--inline", "select {{ rule_version() }}", "--vars", parameters)
    assert complaint in capsys.readouterr().out


def test_an_impossible_parameter_stops_a_project_from_being_parsed(dbt: Dbt) -> None:
    with pytest.raises(AssertionError, match="tail_seconds is 1801"):
        dbt("parse", "--vars", "{tail_seconds: 1801}")


def test_the_parameters_in_use_are_published_with_the_number(built: Warehouse, dbt: Dbt) -> None:
    dbt("build", "--select", "learning_time_parameters")
    rows = built.rows("select * from analytics.marts.learning_time_parameters")

    values = {row["parameter"]: row["parameter_value"] for row in rows}
    assert values["session_timeout_seconds"] == "1800"
    assert values["long_gap_rule"] == "drop"
    # The whole seed, as the SHA-256 of its file.
    assert len(values["learning_event_patterns"]) == 64
    stored = built.rows("select rule_version from analytics.intermediate.int_learning_gaps")
    assert {row["rule_version"] for row in rows} == {row["rule_version"] for row in stored}
