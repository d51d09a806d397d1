"""Rows of replicas: deleted rows, several with one key, and unreadable values."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sync.local.raw_tables import TABLES
from sync.warehouse import Warehouse
from tests.dbt.scenario import enroll, pass_course, prepare, stand_models
from tests.support.dbt import Dbt
from tests.support.replicas import compiled, relation, replicate
from tests.support.scenarios import Scenarios

PASSED_AT = datetime(2026, 3, 4, 9, tzinfo=UTC)
DELETED = {
    "_fivetran_deleted": ("boolean", "true", "false"),
    "_fivetran_active": ("boolean", "false", "true"),
    "_ab_cdc_deleted_at": ("varchar", "'2026-03-04T05:06:07.000Z'", "null"),
    "_sdc_deleted_at": ("timestamp_tz", "'2026-03-04 05:06:07 +00:00'", "null"),
    "__deleted": ("varchar", "'true'", "'false'"),
    "__op": ("varchar", "'d'", "'u'"),
    '"_meta/op"': ("varchar", "'d'", "'c'"),
    "__hevo__marked_deleted": ("boolean", "true", "null"),
    '"Op"': ("varchar", "'D'", "null"),
    "_snowflake_deleted": ("boolean", "true", "false"),
    '"METADATA$ACTION"': ("varchar", "'DELETE'", "'INSERT'"),
    '"header__change_oper"': ("varchar", "'D'", "'I'"),
    "_peerdb_is_deleted": ("boolean", "true", "false"),
    "_change_type": ("varchar", "'delete'", "'update_postimage'"),
    "rowkind": ("varchar", "'-D'", "'+U'"),
    '"__$operation"': ("number(1, 0)", "1", "2"),
    "hvr_op": ("number(1, 0)", "0", "1"),
    "dbt_valid_to": ("timestamp_ntz", "'2026-03-04 05:06:07'", "'9999-12-31'"),
    "is_deleted": ("number(1, 0)", "1", "0"),
    "deleted": ("float", "1.0", "0.0"),
    "deleted_at": ("number(38, 0)", "1772600767000", "0"),
    "deleted_on": ("date", "'2026-03-04'", "null"),
    "soft_deleted": ("varchar", "'Y'", "'N'"),
}
"""By column of a tool: its type, a value that means deleted, and one that does not."""


def user(number: int, *tool: str) -> tuple[str, ...]:
    """A row of auth_user, with values of the tool's columns."""
    return (str(number), f"'learner_{number}'", "null", "1", "0", "0", "null", "null", *tool)


def kept(warehouse: Warehouse, dbt: Dbt, table: str = "auth_user", **parameters: Any) -> list[int]:
    """Keys that a replica contains as we read it, one per row."""
    sql = compiled(
        dbt,
        f"with {{{{ replica('{table}') }}}} select id from replica order by id",
        json.dumps(parameters),
    )
    return [int(row["id"]) for row in warehouse.rows(sql)]


def test_any_usual_mark_deletes_its_row_and_no_other(warehouse: Warehouse, dbt: Dbt) -> None:
    prepare(warehouse)
    columns = {name: kind for name, (kind, _, _) in DELETED.items()}
    live = [value for _, _, value in DELETED.values()]
    rows = [user(0, *live)]
    for number, (_, gone, _) in enumerate(DELETED.values()):
        marked = list(live)
        marked[number] = gone
        rows.append(user(number + 1, *marked))
    replicate(warehouse, "auth_user", columns, rows)

    assert kept(warehouse, dbt) == [0]


def test_columns_of_the_lms_that_sound_alike_are_no_marks(warehouse: Warehouse, dbt: Dbt) -> None:
    """``unenrolled_at``, ``is_active`` and ``active`` mean something else."""
    prepare(warehouse)
    stamp = "'2026-03-04'"
    row = ("1", stamp, stamp, "7", "'course-v1:A+B+C'", "0", "1", stamp)
    replicate(warehouse, "enterprise_enterprisecourseenrollment", {}, [row])
    replicate(
        warehouse,
        "auth_user",
        {},
        [("1", "'ada'", "null", "0", "0", "0", "null", "null")],
    )

    assert kept(warehouse, dbt, "enterprise_enterprisecourseenrollment") == [1]
    assert kept(warehouse, dbt) == [1]


def test_a_mark_of_our_own_is_set_by_a_var(
    warehouse: Warehouse, dbt: Dbt, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(warehouse)
    replicate(
        warehouse,
        "auth_user",
        {"record_state": "varchar"},
        [user(1, "'gone'"), user(2, "'here'"), user(3, "null"), user(4, "' Removed'")],
    )
    mark = {"column": "RECORD_STATE", "deleted": ["gone", "removed"]}

    assert kept(warehouse, dbt, deletion_marks={"auth_user": mark}) == [2, 3]
    assert kept(warehouse, dbt, deletion_marks={"every_table": mark}) == [2, 3]
    with pytest.raises(AssertionError):
        kept(warehouse, dbt, deletion_marks={"users": mark})
    assert "names users, which is no replica that is read" in capsys.readouterr().out
    with pytest.raises(AssertionError):
        kept(warehouse, dbt, deletion_marks={"auth_user": {"column": "gone_at"}})
    assert "auth_user.gone_at, and the replica has no such column" in capsys.readouterr().out


ONE, TWO = "'2026-03-04 01:00:00'", "'2026-03-04 02:00:00'"
APPENDED = {
    "auth_user": (
        *("_fivetran_synced", "timestamp_tz"),
        *("'2026-03-04 01:00:00 +00:00'", "'2026-03-04 00:30:00 -05:00'"),
    ),
    "student_courseenrollment": ("_airbyte_extracted_at", "timestamp_tz", ONE, TWO),
    "student_courseaccessrole": (
        *("_airbyte_emitted_at", "varchar"),
        *("'2026-03-04T09:00:00+02:00'", "'2026-03-04T08:00:00Z'"),
    ),
    "course_overviews_courseoverview": ("updated_at", "timestamp_ntz", ONE, TWO),
    "grades_persistentcoursegrade": ("_sdc_sequence", "varchar", "'999'", "'1000'"),
    "certificates_generatedcertificate": (
        *("_dlt_load_id", "varchar", "'1772600767.5'", "'1772600768.5'"),
    ),
    "social_auth_usersocialauth": (
        *("__source_ts_ms", "number(38, 0)", "1772600767000", "1772600767001"),
    ),
    "enterprise_enterprisecustomer": ("_sdc_batched_at", "timestamp_ntz", ONE, TWO),
    "enterprise_enterprisecustomeruser": (
        *("__hevo__ingested_at", "number(38, 0)", "1772600767000", "1772600768000"),
    ),
    "enterprise_enterprisecourseenrollment": ("flow_published_at", "timestamp_tz", ONE, TWO),
    "enterprise_enterprisecustomeridentityprovider": (
        *("_snowflake_updated_at", "timestamp_ntz", ONE, TWO),
    ),
    "consent_datasharingconsent": ("modified_at", "timestamp_ntz", "null", TWO),
    "channel_integration_enterprisewebhookconfiguration": (
        *("header__change_seq", "varchar"),
        *("'20260304010000000000000000000000001'", "'20260304010000000000000000000000002'"),
    ),
}
"""By replica: the column that orders its rows, its type, an older and a newer value."""
CHANGED = {
    "auth_user": ("username", "'older'", "'newer'"),
    "student_courseenrollment": ("mode", "'audit'", "'verified'"),
    "student_courseaccessrole": ("role", "'staff'", "'instructor'"),
    "course_overviews_courseoverview": ("display_name", "'older'", "'newer'"),
    "grades_persistentcoursegrade": ("letter_grade", "'B'", "'A'"),
    "certificates_generatedcertificate": ("status", "'downloadable'", "'unavailable'"),
    "social_auth_usersocialauth": ("uid", "'older'", "'newer'"),
    "enterprise_enterprisecustomer": ("name", "'older'", "'newer'"),
    "enterprise_enterprisecustomeruser": ("linked", "0", "1"),
    "enterprise_enterprisecourseenrollment": ("course_id", "'older'", "'newer'"),
    "enterprise_enterprisecustomeridentityprovider": ("provider_id", "'older'", "'newer'"),
    "consent_datasharingconsent": ("granted", "1", "0"),
    "channel_integration_enterprisewebhookconfiguration": ("webhook_url", "'older'", "'newer'"),
}
"""By replica: one of its columns, with its value in an older and in a newer row."""
UUID = "'5b0c2f7e9d314c8aa6e4f1d203b7c95e'"


def versions(table: str, *, ordered: bool, deleted: bool = False) -> dict[str, Any]:
    """Two rows of one key, the older written last; ``deleted`` marks the newer one."""
    order, kind, older, newer = APPENDED[table]
    column, before, after = CHANGED[table]
    names = next(list(columns) for (_, name), columns in TABLES.items() if name == table)
    rows = []
    for value, at, mark in ((after, newer, str(deleted).lower()), (before, older, "false")):
        known = {"id": "1", "uuid": UUID, column: value}
        rows.append(
            [known.get(name, "null") for name in names] + ([at] if ordered else []) + [mark]
        )
    columns = ({order: kind} if ordered else {}) | {"_fivetran_deleted": "boolean"}
    return {"columns": columns, "rows": rows}


def test_the_newest_row_of_a_key_counts_in_every_replica(warehouse: Warehouse, dbt: Dbt) -> None:
    prepare(warehouse)
    for table in CHANGED:
        replicate(warehouse, table, **versions(table, ordered=True))
    found = warehouse.rows(compiled(dbt, saying(CHANGED)))

    assert {row["name"]: row["said"] for row in found} == {
        table: {"0": "false", "1": "true"}.get(after, after.strip("'"))
        for table, (_, _, after) in CHANGED.items()
    }


def test_a_key_whose_newest_row_is_deleted_is_gone_from_every_replica(
    warehouse: Warehouse, dbt: Dbt
) -> None:
    prepare(warehouse)
    for table in CHANGED:
        replicate(warehouse, table, **versions(table, ordered=True, deleted=True))

    assert warehouse.rows(compiled(dbt, saying(CHANGED))) == []


def test_a_replica_that_only_an_event_type_reads_may_be_missing(
    warehouse: Warehouse, dbt: Dbt, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(warehouse)
    for table in ("certificates_generatedcertificate", "course_overviews_courseoverview"):
        warehouse.execute(f"drop table {relation(warehouse, table)}")

    assert kept(warehouse, dbt, "certificates_generatedcertificate") == []
    with pytest.raises(Exception, match=r"(?i)course_overviews_courseoverview.*does not exist"):
        kept(warehouse, dbt, "course_overviews_courseoverview")


def saying(changed: dict[str, Any]) -> str:
    """Template: the value of the changed column in every replica."""
    return " union all ".join(
        f"select '{table}' as name, {column}::varchar as said "
        f"from (with {{{{ replica('{table}') }}}} select * from replica)"
        for table, (column, _, _) in changed.items()
    )


def test_images_of_before_a_change_are_no_rows(warehouse: Warehouse, dbt: Dbt) -> None:
    """Qlik writes B before U, Snowflake's streams DELETE before INSERT, each at one time."""
    prepare(warehouse)
    columns = {
        '"header__change_oper"': "varchar",
        '"METADATA$ACTION"': "varchar",
        '"METADATA$ISUPDATE"': "boolean",
        "_fivetran_synced": "timestamp_ntz",
    }
    at = "'2026-03-04 01:00:00'"
    replicate(
        warehouse,
        "auth_user",
        columns,
        [
            user(1, "'B'", "null", "null", at),
            user(1, "'U'", "null", "null", at),
            user(2, "null", "'DELETE'", "true", at),
            user(2, "null", "'INSERT'", "true", at),
            user(3, "null", "'DELETE'", "false", at),
        ],
    )

    assert kept(warehouse, dbt) == [1, 2]


def test_the_column_that_orders_rows_can_be_named_by_a_var(
    warehouse: Warehouse, dbt: Dbt, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(warehouse)
    columns = {"batch": "number(38, 0)", "is_deleted": "boolean"}
    rows = [
        user(1, "2", "true"),
        user(1, "1", "false"),
        user(2, "1", "true"),
        user(2, "2", "false"),
    ]
    replicate(warehouse, "auth_user", columns, rows)

    assert kept(warehouse, dbt, newest_row_by={"every_table": ["batch"]}) == [2]
    with pytest.raises(AssertionError):
        kept(warehouse, dbt, newest_row_by={"auth_user": ["batches"]})
    assert "auth_user.batches, and the replica has no such column" in capsys.readouterr().out


EVERY_REPLICA = "test_name:replica_is_readable"
USERS = f"{EVERY_REPLICA},stg_lms__users"


def problems(dbt: Dbt, select: str, *arguments: str) -> str:
    """The errors of the data tests of replicas."""
    with pytest.raises(AssertionError) as stopped:
        dbt("test", "--select", select, *arguments)
    return str(stopped.value)


def test_whatever_makes_a_replica_unreliable_stops_with_its_table_and_column(
    warehouse: Warehouse, dbt: Dbt
) -> None:
    prepare(warehouse)
    replicate(
        warehouse,
        "auth_user",
        {"gone_delete_marker": "varchar", "__deleted": "varchar"},
        [
            user(1, "null", "'ada@example.com'"),
            (*user(2)[:4], "'perhaps'", *user(2)[5:], "'x'", "'false'"),
        ],
        is_staff="varchar",
    )
    for table in ("student_courseaccessrole", "consent_datasharingconsent"):
        replicate(warehouse, table, **versions(table, ordered=False))
    replicate(
        warehouse,
        "grades_persistentcoursegrade",
        {},
        [
            ("1", "null", "58769", "7", "'r'", "'88'", "'B'", "'03/04/2026 05:06'"),
            ("null", "null", "null", "'7.5'", "'r'", "'0.9'", "'A'", "null"),
        ],
        user_id="varchar",
        percent_grade="varchar",
        passed_timestamp="varchar",
        modified="number(38, 0)",
    )
    replicate(
        warehouse,
        "enterprise_enterprisecustomer",
        {},
        [("'5b0c2f7e'", *["null"] * 4, "'2'", *["null"] * 5)],
        active="varchar",
    )

    found = problems(dbt, EVERY_REPLICA)
    for expected in (
        "auth_user cannot be relied on: gone_delete_marker looks like a deletion mark",
        'is_staff has 1 values that cannot be read as boolean, such as "aaaaaaa"',
        'the deletion mark __deleted has 1 values that cannot be read, such as "aaaaaaa',
        "deletion_marks",
        "student_courseaccessrole cannot be relied on: 1 values of id have several rows",
        "newest_row_by",
        'passed_timestamp has 1 values that cannot be read as timestamp, such as "99/99/9999',
        'modified has 1 values that cannot be read as timestamp, such as "99999"',
        'percent_grade has 1 values that cannot be read as fraction, such as "99"',
        'user_id has 1 values that cannot be read as integer, such as "9.9"',
        "id is empty or unreadable in 1 rows",
        'uuid has 1 values that cannot be read as uuid, such as "9a9a9a9a"',
        'active has 1 values that cannot be read as boolean, such as "9"',
    ):
        assert expected in found
    assert "ada@" not in found
    assert "perhaps" not in found
    assert found.count("cannot be relied on") == 5

    settled = problems(
        dbt,
        USERS,
        "--vars",
        json.dumps({"not_deletion_marks": ["auth_user.gone_delete_marker", "__deleted"]}),
    )
    assert "gone_delete_marker" not in settled
    assert "__deleted" not in settled
    assert "is_staff" in settled


def test_columns_that_order_rows_may_be_numbers_beside_text(warehouse: Warehouse, dbt: Dbt) -> None:
    """As Airbyte and Debezium write them: a position, and a time as text."""
    prepare(warehouse)
    columns = {"__lsn": "number(38, 0)", "_airbyte_emitted_at": "varchar", "is_deleted": "boolean"}
    older, newer = "'2026-03-04T09:00:00+02:00'", "'2026-03-04T08:00:00Z'"
    rows = [
        user(1, "7", newer, "false"),
        user(1, "7", older, "true"),
        user(2, "7", older, "false"),
        user(2, "7", newer, "true"),
        user(3, "8", older, "false"),
        user(3, "7", newer, "true"),
    ]
    replicate(warehouse, "auth_user", columns, rows)
    assert kept(warehouse, dbt) == [1, 3]

    misread = "'03/04/2026 05:06'"
    replicate(warehouse, "auth_user", columns, [user(1, "7", misread, "false")] * 2)
    assert "have 2 values that are neither numbers nor timestamps" in problems(dbt, USERS)


def test_a_replica_without_a_needed_column_says_which(
    warehouse: Warehouse, dbt: Dbt, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(warehouse)
    users = relation(warehouse, "auth_user")
    warehouse.execute(f"alter table {users} drop column is_staff")
    warehouse.execute(f"alter table {users} drop column email")
    with pytest.raises(AssertionError):
        kept(warehouse, dbt)
    assert "auth_user has no column is_staff, which is needed" in capsys.readouterr().out


def test_rows_that_differ_in_nothing_that_is_read_are_harmless(
    warehouse: Warehouse, dbt: Dbt
) -> None:
    """Loaded twice: different load ids, the same row of the LMS."""
    prepare(warehouse)
    rows = [user(1, "'a'"), user(1, "'b'"), user(2, "'c'")]
    replicate(warehouse, "auth_user", {"_airbyte_raw_id": "varchar"}, rows)
    assert kept(warehouse, dbt) == [1, 2]
    dbt("test", "--select", USERS)


def test_completions_of_deleted_rows_are_none_and_an_unreadable_value_stops_them(
    scenarios: Scenarios, warehouse: Warehouse, dbt: Dbt
) -> None:
    stand_models(scenarios, dbt)
    enroll(warehouse, [1, 2, 3])
    for one in (1, 2, 3):
        pass_course(warehouse, one, PASSED_AT)
    consents = relation(warehouse, "consent_datasharingconsent")
    grades = relation(warehouse, "grades_persistentcoursegrade")
    for place in (consents, grades):
        warehouse.execute(f"alter table {place} add column _fivetran_deleted varchar")
        warehouse.execute(f"update {place} set _fivetran_deleted = 'false'")
    changed = {
        "stg_enterprise__consents": "consent_datasharingconsent",
        "stg_lms__course_grades": "grades_persistentcoursegrade",
    }
    tests = (f"replica_is_readable_{model}_{table}" for model, table in changed.items())
    build = ("build", "--indirect-selection", "empty")
    build += ("--select", *changed, *tests, "completed_enrollments")
    completed = "select user_id from analytics.marts.completed_enrollments order by user_id"
    dbt(*build)
    assert [row["user_id"] for row in warehouse.rows(completed)] == [1, 2, 3]

    warehouse.execute(f"update {consents} set _fivetran_deleted = 'true' where id = 1")
    warehouse.execute(f"update {grades} set _fivetran_deleted = 'TRUE' where id = 2")
    assert [row["user_id"] for row in warehouse.rows(completed)] == [3]

    warehouse.execute(f"update {consents} set _fivetran_deleted = 'perhaps' where id = 3")
    views = (
        "select table_name from analytics.information_schema.views"
        " where table_name = 'COMPLETED_ENROLLMENTS'"
    )
    assert len(warehouse.rows(views)) == 1
    warehouse.execute("drop view analytics.marts.completed_enrollments")
    with pytest.raises(
        AssertionError,
        match="consent_datasharingconsent cannot be relied on: the deletion mark _fivetran_deleted",
    ):
        dbt(*build)
    assert warehouse.rows(views) == []
