"""An increment of learning time touches the partitions of the days that changed, and no others.

The statements are those that dbt sends for the last half hour of a year, over a few lines in the
embedded warehouse; the tables that they meet here have a year of ten million lines a day.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, timedelta

import pytest

from sync.warehouse import open_warehouse
from tests.cost.partitions import Account, Touched
from tests.cost.recording import Sent, recorded
from tests.cost.year import (
    DAILY,
    DAYS,
    END,
    GAPS,
    INCREMENT,
    LINES,
    RAW,
    with_new_rows,
    year_of_learning_time,
)
from tests.dbt.scenario import Batch, line, stand_models
from tests.learning_time.models import Models
from tests.support.dbt import Dbt
from tests.support.scenarios import Scenarios

TABLES = (RAW, LINES, GAPS, DAILY)
LATE = timedelta(days=200)


@dataclass(frozen=True)
class Increment:
    """Statements of one increment, and the tables of the year as each model meets them."""

    sent: dict[str, Sent]
    """By the model that sent them."""
    account: dict[str, Account]

    def touched(self, table: str) -> Touched:
        """What all statements together touch of a table."""
        parts = [self.account[model].run_all(sent) for model, sent in self.sent.items()]
        return Touched(
            {table: frozenset().union(*(one.scanned.get(table, ()) for one in parts))},
            {table: sum(one.rewritten.get(table, 0) for one in parts)},
        )

    def partitions(self, table: str) -> int:
        return len(self.account[LINES].tables[table].partitions)


@pytest.fixture(scope="module")
def increment_of(scenarios: Scenarios, dbt: Dbt) -> Iterator[Callable[[timedelta], Increment]]:
    """The year's last increment, with one line as late as wanted."""
    logging.getLogger("snowflake.connector").setLevel(logging.ERROR)
    stand_models(scenarios, dbt)
    with open_warehouse(scenarios.settings, purpose="tests") as warehouse:
        models = Models(warehouse, dbt)

        def run(lateness: timedelta) -> Increment:
            end = END.replace(tzinfo=UTC)
            before, now = end - INCREMENT, end - timedelta(minutes=5)
            models.forget()
            models.load(Batch("before", before, (line(1, before.isoformat()),)))
            models.run()
            stamps = {
                str(row["stamp"])
                for row in warehouse.rows(
                    f"select max(processed_at) as stamp from analytics.intermediate.{GAPS}"
                )
            }
            (stamp,) = stamps
            late = line(2, (now - lateness).isoformat())
            models.load(Batch("now", end, (line(1, now.isoformat()), late)))
            sent = {}
            for model in (LINES, GAPS, DAILY):
                with recorded() as statements:
                    dbt("run", "--select", model)
                # The year's tables were built by a clock that ends with the year.
                built = str(before.replace(tzinfo=None))
                sent[model] = [(sql.replace(stamp, built), binds) for sql, binds in statements]
            year = year_of_learning_time()
            lines_in = with_new_rows(year, LINES)
            return Increment(
                sent, {LINES: year, GAPS: lines_in, DAILY: with_new_rows(lines_in, GAPS)}
            )

        yield run


@pytest.fixture(scope="module")
def usual(increment_of: Callable[[timedelta], Increment]) -> Increment:
    return increment_of(timedelta())


@pytest.mark.parametrize("table", TABLES)
def test_an_increment_touches_at_most_one_percent_of_each_table(
    usual: Increment, table: str
) -> None:
    touched = usual.touched(table)
    assert touched.scanned[table], "the model sees what the increment reads"
    assert len(touched.scanned[table]) <= 0.01 * usual.partitions(table)
    assert touched.rewritten[table] <= 0.01 * usual.partitions(table)


@pytest.mark.parametrize("table", [GAPS, DAILY])
def test_the_key_of_learner_and_course_run_alone_touches_every_partition(
    usual: Increment, table: str
) -> None:
    """As the tables were keyed before: the learners of a batch are everywhere."""
    (delete,) = (sql for sql, _ in usual.sent[table] if sql.lower().startswith("delete"))
    bounded, _, _ = delete.partition("and activity_date in (")
    assert bounded != delete
    touched = usual.account[table].run(bounded)
    assert touched.rewritten[table] == len(usual.account[table].tables[table].partitions)


@pytest.mark.parametrize("table", [GAPS, DAILY])
def test_a_late_line_costs_the_partitions_of_its_day(
    increment_of: Callable[[timedelta], Increment], usual: Increment, table: str
) -> None:
    """And of the lines that came late together with it: they lie in the same partitions."""
    late = increment_of(LATE)
    more = late.touched(table).rewritten[table] - usual.touched(table).rewritten[table]
    days_in_a_partition = 1 + 30 + 1
    assert 0 < more <= days_in_a_partition * late.partitions(table) / DAYS
