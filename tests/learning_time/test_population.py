"""Which learners get rows, for which customers, and how many: joins never change a number."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sync.local.raw_tables import insert_rows
from sync.warehouse import Warehouse
from tests.dbt.scenario import ENTERPRISE, ENTERPRISE_UUID, Batch, enroll, pass_course
from tests.learning_time.models import Models
from tests.learning_time.timelines import SECOND, TIMEOUT, unit

LOADED_AT = datetime(2026, 3, 6, tzinfo=UTC)
PASSED_AT = datetime(2026, 3, 5, tzinfo=UTC)
SECOND_ENTERPRISE = "0c9d8e7f6a5b4c3d8e1f2a3b4c5d6e7f"
SECOND_UUID = "0c9d8e7f-6a5b-4c3d-8e1f-2a3b4c5d6e7f"
SECONDS = 1_800 + 60
"""Learning time of everybody here."""
LEARNER, ENROLLED_THRICE, TWICE_LINKED, TWO_ENTERPRISES = range(1, 5)
NO_ENROLLMENT, NO_ENTERPRISE, LINKED_ONLY = range(5, 8)
RUN_STAFF, ORG_STAFF, GLOBAL_STAFF, SITE_STAFF, SUPERUSER = range(8, 13)
BETA_TESTER, OTHER_RUN_STAFF, NO_CONSENT, CONSENT_WITHDRAWN = range(13, 17)
ROLES = {
    RUN_STAFF: ("staff", "ExampleX", "course-v1:ExampleX+DATA101+2026_T1"),
    ORG_STAFF: ("data_researcher", "ExampleX", None),
    GLOBAL_STAFF: ("instructor", None, None),
    BETA_TESTER: ("beta_testers", "ExampleX", "course-v1:ExampleX+DATA101+2026_T1"),
    OTHER_RUN_STAFF: ("staff", "ExampleX", "course-v1:ExampleX+DATA101+2025_T1"),
}
EVERYBODY = range(LEARNER, CONSENT_WITHDRAWN + 1)
COURSE_TEAM = {RUN_STAFF, ORG_STAFF, GLOBAL_STAFF, SITE_STAFF, SUPERUSER}
WITHOUT_A_ROW = COURSE_TEAM | {NO_ENROLLMENT, NO_ENTERPRISE, LINKED_ONLY}


def tell_apart(warehouse: Warehouse) -> None:
    """Change the rows that ``enroll`` created to match the name of each learner."""
    lms, enterprise = "raw.lms", "raw.enterprise"
    run = "course-v1:ExampleX+DATA101+2026_T1"
    warehouse.execute(f"delete from {lms}.student_courseenrollment where id = ?", NO_ENROLLMENT)
    for table in ("enterprise_enterprisecustomeruser", "enterprise_enterprisecourseenrollment"):
        warehouse.execute(f"delete from {enterprise}.{table} where id = ?", NO_ENTERPRISE)
    warehouse.execute(
        f"delete from {enterprise}.enterprise_enterprisecourseenrollment where id = ?", LINKED_ONLY
    )
    warehouse.execute(f"update {lms}.auth_user set is_staff = 1 where id = ?", SITE_STAFF)
    warehouse.execute(f"update {lms}.auth_user set is_superuser = 1 where id = ?", SUPERUSER)
    consents = f"{enterprise}.consent_datasharingconsent"
    warehouse.execute(f"delete from {consents} where id = ?", NO_CONSENT)
    warehouse.execute(f"update {consents} set granted = 0 where id = ?", CONSENT_WITHDRAWN)
    again = [
        {"id": 100 + number, "user_id": ENROLLED_THRICE, "course_id": run, "mode": mode}
        for number, mode in enumerate(("audit", "verified"))
    ]
    insert_rows(warehouse, "student_courseenrollment", again)
    insert_rows(
        warehouse,
        "enterprise_enterprisecustomer",
        [{"uuid": SECOND_ENTERPRISE, "name": "Second Industries", "active": True}],
    )
    links = [(200, ENTERPRISE, TWICE_LINKED), (201, SECOND_ENTERPRISE, TWO_ENTERPRISES)]
    insert_rows(
        warehouse,
        "enterprise_enterprisecustomeruser",
        (
            {"id": key, "enterprise_customer_id": uuid, "user_id": user_id, "linked": True}
            for key, uuid, user_id in links
        ),
    )
    # Also a second record of the same link: each of the tables can contain a pair twice.
    owners = [200, 201, ENROLLED_THRICE]
    insert_rows(
        warehouse,
        "enterprise_enterprisecourseenrollment",
        (
            {"id": 300 + number, "enterprise_customer_user_id": owner, "course_id": run}
            for number, owner in enumerate(owners)
        ),
    )
    insert_rows(
        warehouse,
        "student_courseaccessrole",
        (
            {"id": user_id, "user_id": user_id, "role": role, "org": org, "course_id": of_run}
            for user_id, (role, org, of_run) in ROLES.items()
        ),
    )


@pytest.fixture(scope="module")
def built(models: Models) -> Models:
    """Everybody has the same events and passing time, but a different role."""
    enroll(models.warehouse, EVERYBODY)
    tell_apart(models.warehouse)
    lines = []
    for user_id in EVERYBODY:
        pass_course(models.warehouse, user_id, PASSED_AT)
        lines += unit(user_id, 9 * 3_600 * SECOND, (TIMEOUT, 60 * SECOND)).lines()
    models.load(Batch("tracking.log", LOADED_AT, tuple(lines)))
    models.invoke("run", "--select", "+completion_learning_time", "int_learning_time_to_completion")
    models.run(with_mart=True)
    return models


def test_everybody_studied(built: Models) -> None:
    """The negative control: learners without a row below do have learning time."""
    assert {user_id for user_id, _ in built.days()} == set(EVERYBODY)


def test_a_row_needs_an_enterprise_an_enrollment_record_and_no_role(built: Models) -> None:
    found = {one["user_id"] for one in built.mart()}
    assert found == set(EVERYBODY) - WITHOUT_A_ROW


def test_further_records_of_a_pair_multiply_nothing(built: Models) -> None:
    """Nor does a second enterprise change the first one's rows: it has separate rows."""
    rows = sorted(
        (one["user_id"], one["enterprise_customer_uuid"], one["learning_time_seconds"])
        for one in built.mart()
    )
    expected = [(user_id, ENTERPRISE_UUID, SECONDS) for user_id in set(EVERYBODY) - WITHOUT_A_ROW]
    assert rows == sorted([*expected, (TWO_ENTERPRISES, SECOND_UUID, SECONDS)])


def test_a_completion_needs_consent_and_carries_the_time_to_the_completion(built: Models) -> None:
    rows = built.warehouse.rows("select * from analytics.marts.completion_learning_time")
    found = [
        (one["user_id"], one["learning_time_seconds"])
        for one in rows
        if one["enterprise_customer_uuid"] == ENTERPRISE_UUID
    ]
    without = WITHOUT_A_ROW | {NO_CONSENT, CONSENT_WITHDRAWN}
    assert {user_id for user_id, _ in found} - {NO_ENROLLMENT} == set(EVERYBODY) - without
    assert {seconds for _, seconds in found} == {SECONDS}
    assert len(found) == len({user_id for user_id, _ in found})
