"""The raw layer of a warehouse that we own: replica tables of the LMS and the tracking log.

In production these tables belong to the team that replicates the LMS, and this module is not used.
The embedded warehouse has no replication, so it needs the same tables with the same conventions:
booleans are 0 or 1, datetimes are naive UTC, UUIDs are 32 hex digits, consent is keyed by username.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from sync.errors import SyncError
from sync.settings import RawSchema
from sync.warehouse import Warehouse

TEXT = "varchar"
NUMBER = "number(38, 0)"
FLAG = "number(1, 0)"
FRACTION = "float"
TIMESTAMP = "timestamp_ntz"

Columns = Mapping[str, str]
"""Column name to Snowflake type, in table order."""

TABLES: Mapping[tuple[RawSchema, str], Columns] = MappingProxyType(
    {
        ("tracking", "tracking_logs"): {
            "line": TEXT,
            "file_name": TEXT,
            "loaded_at": TIMESTAMP,
        },
        # Files that sync.local.tracking_logs has loaded: one row per file content and name.
        ("tracking", "tracking_log_files"): {
            "file_name": TEXT,
            "sha256": TEXT,
            "line_count": NUMBER,
            "byte_count": NUMBER,
            "loaded_at": TIMESTAMP,
        },
        ("lms", "auth_user"): {
            "id": NUMBER,
            "username": TEXT,
            "email": TEXT,
            "is_active": FLAG,
            "is_staff": FLAG,
            "is_superuser": FLAG,
            "date_joined": TIMESTAMP,
            "last_login": TIMESTAMP,
        },
        ("lms", "student_courseenrollment"): {
            "id": NUMBER,
            "user_id": NUMBER,
            "course_id": TEXT,
            "created": TIMESTAMP,
            "is_active": FLAG,
            "mode": TEXT,
        },
        ("lms", "student_courseaccessrole"): {
            "id": NUMBER,
            "user_id": NUMBER,
            "org": TEXT,
            "course_id": TEXT,
            "role": TEXT,
        },
        ("lms", "course_overviews_courseoverview"): {
            "id": TEXT,
            "created": TIMESTAMP,
            "modified": TIMESTAMP,
            "org": TEXT,
            "display_name": TEXT,
        },
        ("lms", "grades_persistentcoursegrade"): {
            "id": NUMBER,
            "created": TIMESTAMP,
            "modified": TIMESTAMP,
            "user_id": NUMBER,
            "course_id": TEXT,
            "percent_grade": FRACTION,
            "letter_grade": TEXT,
            "passed_timestamp": TIMESTAMP,
        },
        ("lms", "certificates_generatedcertificate"): {
            "id": NUMBER,
            "user_id": NUMBER,
            "course_id": TEXT,
            "verify_uuid": TEXT,
            "download_url": TEXT,
            "grade": TEXT,
            "mode": TEXT,
            "status": TEXT,
            "created_date": TIMESTAMP,
            "modified_date": TIMESTAMP,
        },
        # Upstream keeps extra_data as JSON text, sometimes encoded twice: it stays text here.
        ("lms", "social_auth_usersocialauth"): {
            "id": NUMBER,
            "user_id": NUMBER,
            "provider": TEXT,
            "uid": TEXT,
            "extra_data": TEXT,
            "created": TIMESTAMP,
            "modified": TIMESTAMP,
        },
        ("enterprise", "enterprise_enterprisecustomer"): {
            "uuid": TEXT,
            "created": TIMESTAMP,
            "modified": TIMESTAMP,
            "name": TEXT,
            "slug": TEXT,
            "active": FLAG,
            "country": TEXT,
            "enable_data_sharing_consent": FLAG,
            "enforce_data_sharing_consent": TEXT,
            "enable_audit_enrollment": FLAG,
            "enable_audit_data_reporting": FLAG,
        },
        ("enterprise", "enterprise_enterprisecustomeruser"): {
            "id": NUMBER,
            "created": TIMESTAMP,
            "modified": TIMESTAMP,
            "enterprise_customer_id": TEXT,
            "user_id": NUMBER,
            "active": FLAG,
            "linked": FLAG,
        },
        ("enterprise", "enterprise_enterprisecourseenrollment"): {
            "id": NUMBER,
            "created": TIMESTAMP,
            "modified": TIMESTAMP,
            "enterprise_customer_user_id": NUMBER,
            "course_id": TEXT,
            "saved_for_later": FLAG,
            "unenrolled": FLAG,
            "unenrolled_at": TIMESTAMP,
        },
        ("enterprise", "enterprise_enterprisecustomeridentityprovider"): {
            "id": NUMBER,
            "enterprise_customer_id": TEXT,
            "provider_id": TEXT,
        },
        ("enterprise", "consent_datasharingconsent"): {
            "id": NUMBER,
            "created": TIMESTAMP,
            "modified": TIMESTAMP,
            "enterprise_customer_id": TEXT,
            "username": TEXT,
            "course_id": TEXT,
            "granted": FLAG,
        },
        ("enterprise", "channel_integration_enterprisewebhookconfiguration"): {
            "id": NUMBER,
            "created": TIMESTAMP,
            "modified": TIMESTAMP,
            "enterprise_customer_id": TEXT,
            "region": TEXT,
            "webhook_url": TEXT,
            "webhook_token_url": TEXT,
            "webhook_timeout_seconds": NUMBER,
            "webhook_retry_attempts": NUMBER,
            "max_requests_per_minute": NUMBER,
            "active": FLAG,
            "enable_enrollment_events_processing": FLAG,
            "client_id": TEXT,
        },
    }
)

_SCHEMA_KEYS: Mapping[str, RawSchema] = MappingProxyType({name: key for key, name in TABLES})


class UnknownRawTable(SyncError):
    """A table or column that the raw layer does not have."""


def create_raw_tables(
    warehouse: Warehouse, schema_keys: Collection[RawSchema] = ("tracking", "lms", "enterprise")
) -> None:
    """Create the missing raw schemas and tables; existing ones are left unchanged.

    One statement per database if all exist, so that every session may call it.
    """
    wanted = {key: warehouse.raw_relation(*key) for key in TABLES if key[0] in schema_keys}
    standing = {
        f"{database}.{row['table_schema']}.{row['table_name']}"
        for database in sorted({relation.partition(".")[0] for relation in wanted.values()})
        for row in warehouse.rows(
            f"select table_schema, table_name from {database}.information_schema.tables"
        )
    }
    missing = {key: relation for key, relation in wanted.items() if relation not in standing}
    for schema in sorted({relation.rpartition(".")[0] for relation in missing.values()}):
        _ensure_schema(warehouse, schema)
    for key, relation in missing.items():
        listed = ", ".join(f"{name} {kind}" for name, kind in TABLES[key].items())
        warehouse.execute(f"create table if not exists {relation} ({listed})")


def _ensure_schema(warehouse: Warehouse, schema: str) -> None:
    # Check first: `create schema if not exists` requires a privilege even where it does nothing.
    database, _, name = schema.partition(".")
    known = f"select schema_name from {database}.information_schema.schemata where schema_name = ?"
    if not warehouse.rows(known, name):
        warehouse.execute(f"create schema if not exists {schema}")


def insert_rows(warehouse: Warehouse, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Append replica rows to a raw table; return how many.

    A row maps column names to text, numbers, booleans (stored as 0 or 1), None or datetimes
    (aware ones are converted to UTC, naive ones are assumed UTC). Missing columns become NULL.
    Raises UnknownRawTable for a table or a column that does not exist, before anything is sent.
    """
    schema_key = _SCHEMA_KEYS.get(table)
    if schema_key is None:
        known = ", ".join(sorted(_SCHEMA_KEYS))
        raise UnknownRawTable(f"there is no raw table {table}; known: {known}")
    columns = TABLES[schema_key, table]
    picked = ", ".join(f"value:{name}::{kind}" for name, kind in columns.items())
    statement = (
        f"insert into {warehouse.raw_relation(schema_key, table)} ({', '.join(columns)}) "
        f"select {picked} from table(flatten(input => parse_json(?)))"
    )
    ready = [_encoded(table, columns, row) for row in rows]
    return warehouse.bulk(statement, ready) if ready else 0


def _encoded(table: str, columns: Columns, row: Mapping[str, Any]) -> dict[str, Any]:
    unknown = row.keys() - columns.keys()
    if unknown:
        raise UnknownRawTable(f"{table} has no column {', '.join(sorted(unknown))}")
    return {name: _json_value(value) for name, value in row.items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return utc.isoformat(sep=" ", timespec="microseconds")
    return value
