"""Small raw logs, and the models' results for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sync.ledger.tables import ensure_ledger
from sync.local.raw_tables import create_raw_tables, insert_rows
from sync.warehouse import Warehouse
from tests.support.dbt import ONLY_TABLES, Dbt
from tests.support.scenarios import Scenarios

RUN = "course-v1:ExampleX+DATA101+2026_T1"
ENTERPRISE = "5b0c2f7e9d314c8aa6e4f1d203b7c95e"
ENTERPRISE_UUID = "5b0c2f7e-9d31-4c8a-a6e4-f1d203b7c95e"
LEARNING_TIME = ("build", "--select", "+marts.learning_time")
WITHOUT_TESTS = ("--exclude", "tag:delivery", "--indirect-selection", "empty")
"""The named tests still run, because they stop downstream models."""
VIEWS = "config.materialized:view"
"""For exclusion in a build that starts with ``stand_models``: they are unchanged."""
ONLY_NAMED_TESTS = ("--exclude", "tag:delivery", VIEWS, "--indirect-selection", "empty")
"""As ``WITHOUT_TESTS``, after ``stand_models``."""
BUILD_DAYS = ("build", "--select", "+int_learning_time_daily", *ONLY_TABLES)
"""Everything up to the daily model without its tests."""


@dataclass(frozen=True)
class Batch:
    """Lines loaded together."""

    file_name: str
    loaded_at: datetime
    lines: tuple[str, ...]


def line(user_id: object, at: str, name: str = "play_video", **changes: Any) -> str:
    """A tracking-log line of a browser event; ``changes`` replace top-level fields."""
    document = {
        "name": name,
        "event_type": name,
        "event_source": "browser",
        "time": at,
        "username": f"learner_{user_id}",
        "context": {"user_id": user_id, "course_id": RUN, "org_id": "ExampleX", "path": "/event"},
        "event": "{}",
        "page": "https://learn.example.com/courses/",
        "agent": "Mozilla/5.0 (X11; Linux x86_64)",
        "host": "learn.example.com",
        "session": "0" * 32,
    }
    return json.dumps(document | changes)


def prepare(warehouse: Warehouse) -> None:
    """Create the tables that dbt expects."""
    create_raw_tables(warehouse)
    ensure_ledger(warehouse)


def stand_models(scenarios: Scenarios, dbt: Dbt) -> None:
    """Every model over empty tables, as created by ``prepare``."""

    def make(warehouse: Warehouse) -> None:
        prepare(warehouse)
        dbt("build", *ONLY_TABLES)

    scenarios.stand("models", make)


def load(warehouse: Warehouse, *batches: Batch) -> None:
    """Append batches to the raw log, in this order."""
    for batch in batches:
        insert_rows(
            warehouse,
            "tracking_logs",
            (
                {"line": one, "file_name": batch.file_name, "loaded_at": batch.loaded_at}
                for one in batch.lines
            ),
        )


def enroll(warehouse: Warehouse, user_ids: Iterable[int], run: str = RUN) -> None:
    """Give learners an account, an enrollment and the invented enterprise."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    stamps = {"created": at, "modified": at}
    ids = list(user_ids)
    insert_rows(
        warehouse,
        "enterprise_enterprisecustomer",
        [{"uuid": ENTERPRISE, "name": "Example Industries", "active": True, **stamps}],
    )
    insert_rows(
        warehouse,
        "auth_user",
        ({"id": one, "username": f"learner_{one}", "is_active": True} for one in ids),
    )
    insert_rows(
        warehouse,
        "student_courseenrollment",
        ({"id": one, "user_id": one, "course_id": run, "mode": "verified"} for one in ids),
    )
    insert_rows(
        warehouse,
        "enterprise_enterprisecustomeruser",
        (
            {"id": one, "enterprise_customer_id": ENTERPRISE, "user_id": one, "linked": True}
            for one in ids
        ),
    )
    insert_rows(
        warehouse,
        "enterprise_enterprisecourseenrollment",
        ({"id": one, "enterprise_customer_user_id": one, "course_id": run} for one in ids),
    )
    insert_rows(
        warehouse,
        "consent_datasharingconsent",
        (
            {
                "id": one,
                "enterprise_customer_id": ENTERPRISE,
                "username": f"learner_{one}",
                "course_id": run,
                "granted": True,
                **stamps,
            }
            for one in ids
        ),
    )


def pass_course(warehouse: Warehouse, user_id: int, passed_at: datetime, run: str = RUN) -> None:
    """Record that a learner passed."""
    insert_rows(
        warehouse,
        "grades_persistentcoursegrade",
        [
            {
                "id": user_id,
                "user_id": user_id,
                "course_id": run,
                "percent_grade": 0.9,
                "letter_grade": "Pass",
                "passed_timestamp": passed_at,
                "modified": passed_at,
            }
        ],
    )


def daily(warehouse: Warehouse) -> Mapping[tuple[int, str, date], tuple[int, int, int]]:
    """Microseconds, events and sessions by learner, course run and day."""
    return {
        (int(row["user_id"]), row["courserun_key"], row["activity_date"]): (
            int(row["microseconds"]),
            int(row["event_count"]),
            int(row["session_count"]),
        )
        for row in warehouse.rows(
            """
            select
                user_id, courserun_key, activity_date, event_count, session_count,
                learning_time_microseconds as microseconds
            from analytics.intermediate.int_learning_time_daily
            """
        )
    }
