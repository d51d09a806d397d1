"""Frequent real runs of the learning-time models: parsed once, without writing run files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sync.warehouse import Warehouse
from tests.dbt.scenario import Batch, load

INCREMENTAL = (
    *("int_tracking_events", "int_tracking_line_counts", "int_learning_gaps"),
    *("int_learning_event_counts", "int_learning_time_daily"),
)
MART = "learning_time"
STAMPS = {"processed_at", "counted_at"}
"""Columns with the time a row was computed, which depends on how it came about."""

Row = tuple[tuple[str, object], ...]
Contents = Mapping[str, list[Row]]
"""Rows of each model, in a fixed order."""
Day = tuple[int, int, int]
"""Microseconds, events and sessions."""


@dataclass(frozen=True)
class Models:
    """Everything, built once without lines; then only the incremental models run."""

    warehouse: Warehouse
    invoke: Callable[..., object]

    def forget(self) -> None:
        """Remove all lines and the tables of the incremental models."""
        self.warehouse.execute("delete from raw.tracking.tracking_logs")
        for model in (*INCREMENTAL, "int_learning_time_to_completion"):
            self.warehouse.execute(f"drop table if exists analytics.intermediate.{model}")

    def load(self, *batches: Batch) -> None:
        """Append to the raw log, in this order."""
        load(self.warehouse, *batches)

    def run(self, *flags: str, with_mart: bool = False, **parameters: object) -> None:
        """One ``dbt run`` of the incremental models, with these vars."""
        wanted = (*INCREMENTAL, MART) if with_mart else INCREMENTAL
        self.invoke("run", "--select", *wanted, "--vars", json.dumps(parameters), *flags)

    def contents(self, *, with_stamps: bool = False) -> Contents:
        """All columns of all rows; without those in ``STAMPS`` unless wanted."""
        relations = {name: f"analytics.intermediate.{name}" for name in INCREMENTAL}
        relations["learning_time"] = "analytics.marts.learning_time"
        return {
            name: sorted(
                (
                    tuple(
                        (column, value)
                        for column, value in row.items()
                        if with_stamps or column not in STAMPS
                    )
                    for row in self.warehouse.rows(f"select * from {relation}")
                ),
                key=repr,
            )
            for name, relation in relations.items()
        }

    def days(self) -> dict[tuple[int, str], dict[date, Day]]:
        """Rows of the daily model, by learner and course run."""
        found: dict[tuple[int, str], dict[date, Day]] = {}
        for row in self.warehouse.rows(
            """
            select
                user_id, courserun_key, activity_date, event_count, session_count,
                learning_time_microseconds
            from analytics.intermediate.int_learning_time_daily
            """
        ):
            unit = found.setdefault((int(row["user_id"]), row["courserun_key"]), {})
            assert row["activity_date"] not in unit, "two rows for one day of a unit"
            unit[row["activity_date"]] = (
                int(row["learning_time_microseconds"]),
                int(row["event_count"]),
                int(row["session_count"]),
            )
        return found

    def mart(self) -> list[dict[str, Any]]:
        """Rows of the mart, in a fixed order."""
        return self.warehouse.rows(
            "select * from analytics.marts.learning_time"
            " order by enterprise_customer_uuid, user_id, courserun_key, date"
        )


def total(days: Mapping[date, Day]) -> int:
    """Microseconds of a unit."""
    return sum(microseconds for microseconds, _, _ in days.values())


def sessions(days: Mapping[date, Day]) -> int:
    return sum(count for _, _, count in days.values())


def events(days: Mapping[date, Day]) -> int:
    return sum(count for _, count, _ in days.values())


def batch(name: str, loaded_at: Any, lines: Iterable[str]) -> Batch:
    return Batch(name, loaded_at, tuple(lines))
