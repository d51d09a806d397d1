"""A stand-in for the mart of completions, for tests that need rows and not the models."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

from sync.delivery.record import NAMESPACE
from sync.warehouse import StatementFailed, Warehouse

COLUMNS = {
    "enterprise_customer_uuid": "varchar(36)",
    "user_id": "number(38, 0)",
    "courserun_key": "varchar(255)",
    "course_name": "varchar",
    "passed_at": "timestamp_ntz",
    "enterprise_customer_name": "varchar",
    "username": "varchar",
    "email": "varchar",
    "percent_grade": "number(7, 6)",
    "letter_grade": "varchar",
    "enrollment_mode": "varchar",
    "learner_country": "varchar",
    "enterprise_country": "varchar",
    "percipio_user_id": "varchar",
    "percipio_organization_id": "varchar",
}
ENTERPRISE = "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8"
COURSE_RUN = "course-v1:ExampleX+DATA101+2026_T1"


def webhook_id(*key: object) -> str:
    """The id that the warehouse derives from an event's natural key: event type, enterprise,
    learner, course run, and the number of a correction."""
    return str(uuid.uuid5(NAMESPACE, "|".join(map(str, key))))


def completion(user_id: int, passed_at: str, **changes: object) -> dict[str, object]:
    """One row of ``completed_enrollments`` with invented values."""
    return {
        "enterprise_customer_uuid": ENTERPRISE,
        "user_id": user_id,
        "courserun_key": COURSE_RUN,
        "course_name": "Data for Everybody",
        "passed_at": passed_at,
        "enterprise_customer_name": "Example Industries",
        "username": f"learner_{user_id}",
        "email": f"learner_{user_id}@example.com",
        "percent_grade": 0.88,
        "letter_grade": "B",
        "enrollment_mode": "verified",
        "learner_country": "US",
        **changes,
    }


def create_completed_enrollments(
    warehouse: Warehouse, rows: Iterable[Mapping[str, object]] = ()
) -> None:
    """Create the table with the mart's columns, and fill it."""
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    relation = warehouse.relation("marts", "completed_enrollments")
    create_in_schema(warehouse, relation, f"create table if not exists {relation} ({columns})")
    add_completions(warehouse, rows)


def create_in_schema(warehouse: Warehouse, relation: str, sql: str, *binds: object) -> None:
    """Create a relation, and its schema if that is missing, which is rare."""
    try:
        warehouse.execute(sql, *binds)
    except StatementFailed:
        warehouse.execute(f"create schema if not exists {relation.rpartition('.')[0]}")
        warehouse.execute(sql, *binds)


def add_completions(warehouse: Warehouse, rows: Iterable[Mapping[str, object]]) -> None:
    """Add rows as ``completion`` makes them."""
    values = ", ".join(
        f"value:{name}::varchar::timestamp_ntz"
        if kind == "timestamp_ntz"
        else f"value:{name}::{kind}"
        for name, kind in COLUMNS.items()
    )
    warehouse.bulk(
        f"""
        insert into {warehouse.relation("marts", "completed_enrollments")}
        select {values} from table(flatten(input => parse_json(?)))
        """,
        rows,
    )
