"""An increment of learning time touches only the partitions of the changed days."""

from __future__ import annotations

import pytest

from sync.settings import PROJECT_ROOT
from tests.cost.increment import EVERYTHING, TABLES, TO_COMPLETION, Build, build_last_half_hour
from tests.cost.report import increment_table, readers_table
from tests.cost.year import DAILY, DAYS, GAPS, LATE, LATENESS, LINES, YEAR
from tests.support.dbt import Dbt
from tests.support.scenarios import Scenarios


@pytest.fixture(scope="module")
def usual(scenarios: Scenarios, dbt: Dbt) -> Build:
    return build_last_half_hour(scenarios, dbt, models=EVERYTHING)


@pytest.fixture(scope="module")
def late(scenarios: Scenarios, dbt: Dbt, usual: Build) -> Build:
    """Runs after the usual one, in the same warehouse."""
    return build_last_half_hour(scenarios, dbt, LATE)


@pytest.mark.parametrize("table", TABLES)
def test_an_increment_touches_at_most_one_percent_of_each_table(usual: Build, table: str) -> None:
    touched = usual.touched(table)
    assert touched.scanned[table], "the model sees what the increment reads"
    assert len(touched.scanned[table]) <= 0.01 * partitions(table)
    assert touched.rewritten[table] <= 0.01 * partitions(table)


@pytest.mark.parametrize("table", [GAPS, DAILY])
def test_the_key_of_learner_and_course_run_alone_touches_every_partition(
    usual: Build, table: str
) -> None:
    """The tables' former key: a batch's learners are in every partition."""
    account = usual.account[table]
    assert usual.with_old_key(table).rewritten[table] == len(account.tables[table].partitions)


@pytest.mark.parametrize("table", [GAPS, DAILY])
def test_a_late_line_costs_the_partitions_of_its_day(usual: Build, late: Build, table: str) -> None:
    """With a month of usual late lines in each partition, plus a day on either side."""
    more = late.touched(table).rewritten[table] - usual.touched(table).rewritten[table]
    assert 0 < more <= (LATENESS.days + 2) * partitions(table) / DAYS


@pytest.mark.parametrize("model", [one for one in EVERYTHING if one not in TABLES])
def test_no_model_after_the_increment_reads_all_lines_or_gaps(usual: Build, model: str) -> None:
    for table in (LINES, GAPS):
        scanned = usual.touched(table, [model]).scanned[table]
        assert len(scanned) <= 0.01 * partitions(table)


def test_a_completion_reads_the_gaps_of_its_own_day(usual: Build) -> None:
    assert usual.touched(GAPS, [TO_COMPLETION]).scanned[GAPS]


def test_the_page_shows_what_was_counted(usual: Build, late: Build) -> None:
    """``python -m tests.cost`` prints it."""
    page = (PROJECT_ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert increment_table(usual, late) in page
    assert readers_table(usual) in page


def partitions(table: str) -> int:
    return len(YEAR.tables[table].partitions)
