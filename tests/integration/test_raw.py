"""The raw replica tables in a real embedded warehouse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from sync.local.raw_tables import TABLES, UnknownRawTable, create_raw_tables, insert_rows
from sync.warehouse import Warehouse


def test_creating_the_tables_again_keeps_their_rows(warehouse: Warehouse) -> None:
    create_raw_tables(warehouse)
    insert_rows(warehouse, "auth_user", [{"id": 1, "username": "ada_abel"}])
    create_raw_tables(warehouse)
    for key in TABLES:
        expected = 1 if key[1] == "auth_user" else 0
        relation = warehouse.raw_relation(*key)
        assert warehouse.rows(f"select count(*) as n from {relation}") == [{"n": expected}]


def test_tables_that_all_stand_cost_one_statement(warehouse: Warehouse) -> None:
    """Each session of a run ensures them; if one is missing, only that one is created."""
    create_raw_tables(warehouse)
    before = warehouse.statements
    create_raw_tables(warehouse)
    assert warehouse.statements - before == 1
    dropped = warehouse.raw_relation("lms", "auth_user")
    warehouse.execute(f"drop table {dropped}")
    create_raw_tables(warehouse)
    assert warehouse.rows(f"select * from {dropped}") == []


def test_only_the_schemas_asked_for_are_created(warehouse: Warehouse) -> None:
    create_raw_tables(warehouse, ("tracking",))
    database = warehouse.raw_relation("lms", "auth_user").split(".")[0]
    names = {row["name"] for row in warehouse.rows(f"show schemas in database {database}")}
    assert "TRACKING" in names
    assert "LMS" not in names


def test_values_arrive_with_the_habits_of_the_replica(warehouse: Warehouse) -> None:
    """Booleans as 0 and 1, times as naive UTC, None and omitted columns as NULL."""
    create_raw_tables(warehouse)
    in_delhi = datetime(2026, 3, 4, 14, 30, 0, 123456, timezone(timedelta(hours=5, minutes=30)))
    inserted = insert_rows(
        warehouse,
        "auth_user",
        [
            {"id": 1, "username": 'o\'hara "é"', "is_active": True, "date_joined": in_delhi},
            {"id": 2, "is_active": False, "date_joined": datetime(2026, 3, 4, 9, 0), "email": None},
        ],
    )
    assert inserted == 2
    relation = warehouse.raw_relation("lms", "auth_user")
    rows = warehouse.rows(
        f"select id, username, email, is_active, is_staff, date_joined from {relation} order by id"
    )
    assert [list(row.values()) for row in rows] == [
        [1, 'o\'hara "é"', None, 1, None, datetime(2026, 3, 4, 9, 0, 0, 123456)],
        [2, None, None, 0, None, datetime(2026, 3, 4, 9, 0)],
    ]


def test_numbers_and_json_text_are_kept(warehouse: Warehouse) -> None:
    create_raw_tables(warehouse)
    text = '{"country": ["de"]}'
    insert_rows(warehouse, "social_auth_usersocialauth", [{"id": 1, "extra_data": text}])
    insert_rows(
        warehouse,
        "grades_persistentcoursegrade",
        [
            {
                "id": 2**40,
                "percent_grade": 0.87,
                "passed_timestamp": datetime(2026, 3, 4, tzinfo=UTC),
            }
        ],
    )
    sso = warehouse.raw_relation("lms", "social_auth_usersocialauth")
    assert warehouse.rows(f"select extra_data from {sso}") == [{"extra_data": text}]
    grades = warehouse.raw_relation("lms", "grades_persistentcoursegrade")
    assert warehouse.rows(f"select id, percent_grade from {grades}") == [
        {"id": 2**40, "percent_grade": 0.87}
    ]


def test_a_table_or_column_that_does_not_exist_is_refused_before_anything_is_sent(
    warehouse: Warehouse,
) -> None:
    create_raw_tables(warehouse)
    sent = warehouse.statements
    with pytest.raises(UnknownRawTable, match="no raw table auth_group"):
        insert_rows(warehouse, "auth_group", [{"id": 1}])
    with pytest.raises(UnknownRawTable, match="auth_user has no column password"):
        insert_rows(warehouse, "auth_user", [{"id": 1}, {"id": 2, "password": "x"}])
    assert warehouse.statements == sent


def test_no_rows_are_no_statement(warehouse: Warehouse) -> None:
    create_raw_tables(warehouse)
    sent = warehouse.statements
    assert insert_rows(warehouse, "auth_user", []) == 0
    assert warehouse.statements == sent
