"""Stand-ins for the marts that the delivery engine reads, for tests that do not run dbt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sync.domain.endpoint import EndpointSettings
from sync.ledger.endpoint_settings import COLUMNS
from sync.ledger.tables import ENDPOINT_SETTINGS, ensure_ledger
from sync.warehouse import RelationMissing, Warehouse, json_chunks
from tests.support.completions import (
    COURSE_RUN,
    ENTERPRISE,
    create_completed_enrollments,
    create_in_schema,
)

ANY_RECEIVER = "http://127.0.0.1:9"
"""Placeholder in the URLs of a scenario, because each test has its own receiver."""
ENDPOINT_COLUMNS = {
    "endpoint_id": "number(38, 0)",
    "enterprise_customer_uuid": "varchar(36)",
    "enterprise_customer_name": "varchar",
    "region": "varchar(10)",
    "url": "varchar",
    "token_url": "varchar",
    "timeout_seconds": "number(38, 0)",
    "max_requests_per_minute": "number(38, 0)",
    "is_active": "boolean",
    "is_enrollment_events_enabled": "boolean",
    "oauth_client_id": "varchar",
}
SETTING_TYPES = {
    name: "boolean" if field.annotation is bool else "varchar"
    for name, field in EndpointSettings.model_fields.items()
}
LEARNING_TIME_COLUMNS = {
    "enterprise_customer_uuid": "varchar(36)",
    "user_id": "number(38, 0)",
    "courserun_key": "varchar(255)",
    "passed_at": "timestamp_ntz",
    "learning_time_seconds": "number(38, 0)",
    "event_count": "number(38, 0)",
    "last_loaded_at": "timestamp_ntz",
    "computed_through": "timestamp_ntz",
}

ENROLLMENT_COLUMNS = {
    "enterprise_customer_uuid": "varchar(36)",
    "user_id": "number(38, 0)",
    "courserun_key": "varchar(255)",
    "course_name": "varchar",
    "enrolled_at": "timestamp_ntz",
    "enrollment_mode": "varchar",
    "is_enrolled": "boolean",
    "enterprise_customer_name": "varchar",
    "username": "varchar",
    "email": "varchar",
    "learner_country": "varchar",
    "enterprise_country": "varchar",
    "percipio_user_id": "varchar",
    "percipio_organization_id": "varchar",
}


def enrollment(user_id: int, **changes: object) -> dict[str, object]:
    """One row of ``enterprise_enrollments`` with invented values."""
    return {
        "enterprise_customer_uuid": ENTERPRISE,
        "user_id": user_id,
        "courserun_key": COURSE_RUN,
        "enrolled_at": "2026-03-05T08:00:00",
        "enrollment_mode": "verified",
        "is_enrolled": True,
        "enterprise_customer_name": "Example Industries",
        "username": f"learner_{user_id}",
        "email": f"learner_{user_id}@example.com",
        **changes,
    }


def endpoint(endpoint_id: int, url: str, **changes: object) -> dict[str, object]:
    """One row of ``webhook_endpoints``; ``changes`` may include operator settings."""
    return {
        "endpoint_id": endpoint_id,
        "enterprise_customer_uuid": ENTERPRISE,
        "enterprise_customer_name": "Example Industries",
        "region": "OTHER",
        "url": url,
        "timeout_seconds": 60,
        "max_requests_per_minute": 60_000,
        "is_active": True,
        "is_enrollment_events_enabled": False,
        **changes,
    }


def create_marts(
    warehouse: Warehouse,
    *,
    completions: Iterable[Mapping[str, object]] = (),
    endpoints: Iterable[Mapping[str, object]] = (),
    learning_times: Iterable[Mapping[str, object]] = (),
) -> None:
    """Create the three marts and fill them."""
    create_completed_enrollments(warehouse, completions)
    create_endpoints(warehouse, endpoints)
    create_table(warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, learning_times)


def create_endpoints(warehouse: Warehouse, endpoints: Iterable[Mapping[str, object]]) -> None:
    """The mart of endpoints and the operator's settings, replaced if they exist."""
    rows = list(endpoints)
    create_table(warehouse, "webhook_endpoints", ENDPOINT_COLUMNS, rows)
    settings = warehouse.relation("sync", ENDPOINT_SETTINGS)
    try:
        warehouse.execute(f"delete from {settings}")
    except RelationMissing:
        ensure_ledger(warehouse)
    names = ", ".join(COLUMNS)
    warehouse.bulk(
        f"""
        insert into {settings} (endpoint_id, {names}, updated_at)
        select value:endpoint_id::number(38, 0),
            {", ".join(f"value:{name}::{SETTING_TYPES[name]}" for name in COLUMNS)},
            sysdate()
        from table(flatten(input => parse_json(?)))
        """,
        [row for row in rows if row.keys() & set(COLUMNS)],
    )


def point_endpoints(warehouse: Warehouse, url: str, *, instead_of: str = ANY_RECEIVER) -> None:
    """Point the endpoints of a scenario at a running receiver, or back."""
    endpoints = warehouse.relation("marts", "webhook_endpoints")
    warehouse.execute(f"update {endpoints} set url = replace(url, ?, ?)", instead_of, url)


def create_table(
    warehouse: Warehouse,
    name: str,
    columns: Mapping[str, str],
    rows: Iterable[Mapping[str, object]],
) -> None:
    """A table in the marts' schema, replaced if it exists."""
    relation = warehouse.relation("marts", name)
    values = ", ".join(
        f"value:{column}{'::varchar' * (kind == 'timestamp_ntz')}::{kind} as {column}"
        for column, kind in columns.items()
    )
    read = f"select {values} from table(flatten(input => parse_json(?)))"
    create = f"create or replace table {relation}"
    first, *rest = list(json_chunks(rows)) or [""]
    if first:
        create_in_schema(warehouse, relation, f"{create} as {read}", first)
    else:
        typed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        create_in_schema(warehouse, relation, f"{create} ({typed})")
    for chunk in rest:
        warehouse.execute(f"insert into {relation} {read}", chunk)
