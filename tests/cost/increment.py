"""The last half hour of a year of ten million lines a day, as dbt builds it.

The statements are those that dbt sends for a few lines in the embedded warehouse; in the model of
partitions, their tables have the whole year.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta

from sync.warehouse import Warehouse, open_warehouse
from tests.cost.partitions import Account, Touched
from tests.cost.recording import Sent, recorded
from tests.cost.year import DAILY, END, GAPS, INCREMENT, LINES, RAW, YEAR, with_new_rows
from tests.dbt.scenario import Batch, enroll, line, load, pass_course, stand_models
from tests.learning_time.models import Models
from tests.support.dbt import Dbt
from tests.support.scenarios import Scenarios

TABLES = (RAW, LINES, GAPS, DAILY)
LINE_COUNTS, EVENT_COUNTS = "int_tracking_line_counts", "int_learning_event_counts"
"""A few hundred rows per batch or day, so their own partitions are not counted."""
TO_COMPLETION = "int_learning_time_to_completion"
MARTS = (
    "completion_learning_time",
    "learning_time",
    "learning_time_watermark",
    "quarantined_lines",
    "tracking_line_counts",
    "unknown_event_types",
)
EVERYTHING = (LINES, GAPS, DAILY, LINE_COUNTS, EVENT_COUNTS, TO_COMPLETION, *MARTS)
LEARNER, LATE_LEARNER = 1, 2
OF_MODEL = re.compile(r'"node_id": "model\.learning_time_webhooks\.(\w+)"')
"""In the comment that dbt appends to a statement."""


@dataclass(frozen=True)
class Build:
    """Statements by the model that sent them, and the tables as each model finds them."""

    sent: Mapping[str, Sent]
    account: Mapping[str, Account]

    def touched(self, table: str, models: Iterable[str] = (LINES, GAPS, DAILY)) -> Touched:
        """Partitions of a table that all statements of these models touch."""
        parts = [self.account[one].run_all(self.sent[one]) for one in models]
        return Touched(
            {table: frozenset().union(*(one.scanned.get(table, ()) for one in parts))},
            {table: sum(one.rewritten.get(table, 0) for one in parts)},
        )

    def with_old_key(self, table: str) -> Touched:
        """Partitions that the table's DELETE would touch without its condition on days."""
        (delete,) = (sql for sql, _ in self.sent[table] if sql.lower().startswith("delete"))
        bounded, days, _ = delete.partition("and activity_date in (")
        assert days, delete
        return self.account[table].run(bounded)


def build_last_half_hour(
    scenarios: Scenarios,
    dbt: Dbt,
    lateness: timedelta = timedelta(),
    models: Iterable[str] = (LINES, GAPS, DAILY),
) -> Build:
    """A line of one learner, a line of another with the given delay, and one completion each
    before and in this half hour."""
    logging.getLogger("snowflake.connector").setLevel(logging.ERROR)
    end = END.replace(tzinfo=UTC)
    before, now = end - INCREMENT, end - timedelta(minutes=5)

    def make(warehouse: Warehouse) -> None:
        stand_models(scenarios, dbt)
        enroll(warehouse, [LEARNER, LATE_LEARNER])
        pass_course(warehouse, LATE_LEARNER, before)
        log = Models(warehouse, dbt)
        log.forget()
        log.load(Batch("before", before, (line(LEARNER, before.isoformat()),)))
        dbt("run", "--select", *(one for one in EVERYTHING if one not in MARTS))

    scenarios.stand("before the last half hour", make)
    with open_warehouse(scenarios.settings, purpose="tests") as warehouse:
        ((stamp,),) = (
            row.values()
            for row in warehouse.rows(
                f"select max(processed_at)::varchar from analytics.intermediate.{GAPS}"
            )
        )
        late = line(LATE_LEARNER, (now - lateness).isoformat())
        load(warehouse, Batch("now", end, (line(LEARNER, now.isoformat()), late)))
        pass_course(warehouse, LEARNER, now)
        with recorded() as statements:
            dbt("run", "--select", *models)
    sent: dict[str, Sent] = {}
    for sql, binds in statements:
        if model := OF_MODEL.search(sql):
            # The year's tables were built with a clock that ends with the year.
            of_year = sql.replace(stamp, str(END - INCREMENT))
            sent.setdefault(model[1], []).append((of_year, binds))
    with_lines = with_new_rows(YEAR, LINES)
    with_gaps = with_new_rows(with_lines, GAPS)
    with_days = with_new_rows(with_gaps, DAILY)
    accounts = {
        LINES: YEAR,
        **dict.fromkeys((LINE_COUNTS, GAPS), with_lines),
        **dict.fromkeys((EVENT_COUNTS, DAILY), with_gaps),
    }
    return Build(sent, {one: accounts.get(one, with_days) for one in sent})
