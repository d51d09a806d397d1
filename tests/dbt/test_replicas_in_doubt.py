"""An unreadable value sends nothing, whatever its row would have allowed or forbidden.

The views behind webhooks read the replicas directly, between two runs of the check that stops the
marts. Each value of each row is unreadable in a separate world: a customer, its learners and a
course. All worlds are in one warehouse, and one statement reads them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from sync.delivery.endpoints import load_endpoints
from sync.domain.endpoint import Region
from sync.domain.routing import Routed, choose_endpoint
from sync.local.raw_tables import TABLES
from sync.warehouse import Warehouse, open_warehouse
from tests.dbt.scenario import prepare
from tests.support.dbt import Dbt
from tests.support.replicas import PLACES, relation, replicate
from tests.support.scenarios import Scenarios

AT, LATER = "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"
MARK = "_fivetran_deleted"
UNREADABLE = "perhaps"
TEXTS = {
    *("username", "email", "course_id", "mode", "role", "org", "letter_grade", "provider", "uid"),
    *("name", "country", "provider_id", "region", "webhook_url", "webhook_token_url", "client_id"),
}
"""Text columns, of which every value is readable."""
LEARNERS = {
    1: "sends",
    2: "has a role",
    3: "is staff",
    4: "withdrew, after a consent of the same run",
    5: "refused for the run, and agreed for the course",
    6: "audits now, and was verified before",
    7: "has the customer's sign-on beside another",
    8: "is not linked",
}
"""Events of learners 1 and 7 are sent. In each world, ``world * 100`` is added to every id."""
ANYBODYS = {
    ("student_courseenrollment", "user_id"): {1, 7},
    ("student_courseaccessrole", "user_id"): {1, 7},
    ("social_auth_usersocialauth", "user_id"): {1, 7},
    ("enterprise_enterprisecustomeridentityprovider", "enterprise_customer_id"): {7},
    ("channel_integration_enterprisewebhookconfiguration", "enterprise_customer_id"): set(),
}
"""Columns without which a row may be anybody's, and the learners of every world whom it holds."""

Rows = Mapping[str, list[dict[str, Any]]]


def a_world(number: int) -> Rows:
    """Invented rows of each replica; omitted columns are NULL."""
    base, enterprise = number * 100, f"{number + 1:032x}"
    course = f"ExampleX+C{number}"
    run = f"course-v1:{course}+R"
    several = {
        "consent_datasharingconsent": [
            {
                "id": base + 40 + n,
                "username": f"learner_{base + n}",
                "course_id": run,
                "granted": 0,
                "modified": LATER,
            }
            for n in (4, 5)
        ],
        "student_courseenrollment": [
            {
                "id": base + 60,
                "user_id": base + 6,
                "course_id": run,
                "mode": "audit",
                "is_active": 1,
                "created": AT,
            }
        ],
    }
    return {
        "auth_user": [
            {
                "id": base + n,
                "username": f"learner_{base + n}",
                "is_staff": int(n == 3),
                "is_superuser": 0,
            }
            for n in LEARNERS
        ],
        "student_courseenrollment": [
            {
                "id": base + n,
                "user_id": base + n,
                "course_id": run,
                "mode": "verified",
                "is_active": 1,
                "created": AT,
            }
            for n in LEARNERS
        ]
        + several["student_courseenrollment"],
        "student_courseaccessrole": [
            {
                "id": base + 1,
                "user_id": base + 2,
                "role": "staff",
                "org": "ExampleX",
                "course_id": run,
            }
        ],
        "grades_persistentcoursegrade": [
            {
                "id": base + n,
                "user_id": base + n,
                "course_id": run,
                "percent_grade": 0.9,
                "passed_timestamp": AT,
                "modified": AT,
            }
            for n in LEARNERS
        ],
        "social_auth_usersocialauth": [
            {
                "id": base + n,
                "user_id": base + n,
                "provider": "tpa-saml",
                "uid": "own:x",
                "extra_data": '{"country": "DE"}',
            }
            for n in (1, 7)
        ]
        + [
            {
                "id": base + 6,
                "user_id": base + 7,
                "provider": "tpa-saml",
                "uid": "other:x",
                "extra_data": '{"country": "US"}',
            }
        ],
        "enterprise_enterprisecustomer": [
            {
                "uuid": enterprise,
                "name": "Example Industries",
                "country": "US",
                "active": 1,
                "enable_audit_enrollment": 0,
                "enable_audit_data_reporting": 1,
                "modified": AT,
            }
        ],
        "enterprise_enterprisecustomeruser": [
            {
                "id": base + n,
                "enterprise_customer_id": enterprise,
                "user_id": base + n,
                "linked": int(n != 8),
            }
            for n in LEARNERS
        ],
        "enterprise_enterprisecourseenrollment": [
            {"id": base + n, "enterprise_customer_user_id": base + n, "course_id": run}
            for n in LEARNERS
        ],
        "enterprise_enterprisecustomeridentityprovider": [
            {"id": base + 1, "enterprise_customer_id": enterprise, "provider_id": "saml-own"}
        ],
        "consent_datasharingconsent": [
            {"enterprise_customer_id": enterprise, **one}
            for one in [
                *(
                    {
                        "id": base + n,
                        "username": f"learner_{base + n}",
                        "granted": 1,
                        "modified": AT,
                        "course_id": course if n == 5 else run,
                    }
                    for n in LEARNERS
                ),
                *several["consent_datasharingconsent"],
            ]
        ],
        "channel_integration_enterprisewebhookconfiguration": [
            {
                "id": base + n,
                "enterprise_customer_id": enterprise,
                "region": region,
                "webhook_url": "https://hooks.example.com/",
                "active": 1,
                "modified": AT,
            }
            for n, region in enumerate(("EU", "US", "OTHER"), 1)
        ],
    }


def cases() -> Iterator[tuple[str, str, int]]:
    """Replica, column, and the unreadable row, or -1 for the whole column."""
    for table, rows in a_world(0).items():
        names = list(dict.fromkeys(name for row in rows for name in row if name not in TEXTS))
        for column in (*names, MARK):
            if (table, column) in ANYBODYS:
                continue
            for number, row in enumerate(rows):
                if column == MARK or row.get(column) is not None:
                    yield table, column, number
            yield table, column, -1


CASES = list(cases())


def spoiled(number: int) -> Rows:
    """World 0 is valid; in each other world one value, or one column, is unreadable."""
    world = a_world(number)
    if number:
        table, column, at = CASES[number - 1]
        for row in world[table] if at < 0 else [world[table][at]]:
            row[column] = UNREADABLE
    return world


@pytest.fixture(scope="module")
def built(scenarios: Scenarios, dbt: Dbt) -> Iterator[Warehouse]:
    """Replicas with only text columns, with a mark, and the views over them; without rows."""
    scenarios.stand("nothing")
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        prepare(opened)
        for table in a_world(0):
            names = list(TABLES[PLACES[table], table])
            replicate(opened, table, {MARK: "varchar"}, [], **dict.fromkeys(names, "varchar"))
        dbt("run", "--select", "+int_reportable_enrollments", "+webhook_endpoints")
        yield opened


def fill(warehouse: Warehouse, numbers: Iterable[int]) -> None:
    """Replace all rows with those of some worlds."""
    worlds = [spoiled(number) for number in numbers]
    for table in worlds[0]:
        rows = [{MARK: "false", **row} for world in worlds for row in world[table]]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        values = ", ".join(f"value:{name}::varchar" for name in columns)
        place = relation(warehouse, table)
        warehouse.execute(f"delete from {place}")
        warehouse.execute(
            f"insert into {place} ({', '.join(columns)})"
            f" select {values} from table(flatten(input => parse_json(?)))",
            json.dumps(rows),
        )


def sent(warehouse: Warehouse) -> dict[int, set[tuple[object, ...]]]:
    """Events by world, with the content of their messages, as ids of world 0."""
    found: dict[int, set[tuple[object, ...]]] = defaultdict(set)
    for row in warehouse.rows(
        f"select * from {warehouse.relation('intermediate', 'int_reportable_enrollments')}"
    ):
        world, learner = divmod(int(row["user_id"]), 100)
        facts = (
            *(learner, row["enterprise_customer_name"], row["email"], row["enrollment_mode"]),
            *(row["learner_country"], row["enterprise_country"]),
        )
        if row["passed_at"] is not None:
            grade = (row["passed_at"], row["percent_grade"], row["letter_grade"])
            found[world].add(("completion", *facts, *grade))
        if row["enrolled_at"] is not None:
            found[world].add(("enrollment", *facts, row["enrolled_at"], row["is_enrolled"]))
    return found


def routes(warehouse: Warehouse) -> dict[int, set[tuple[Region, int]]]:
    """Region of a learner and the endpoint of the messages, by world."""
    endpoints = load_endpoints(warehouse)
    found = {}
    for world in range(len(CASES) + 1):
        enterprise = f"{0:08x}-0000-0000-0000-{world + 1:012x}"
        found[world] = set()
        for region in Region:
            route = choose_endpoint(region, endpoints.by_enterprise.get(enterprise, ()))
            if isinstance(route, Routed) and not endpoints.is_own_broken(enterprise, route):
                found[world].add((region, route.endpoint.endpoint_id % 100))
    return found


def test_a_value_that_cannot_be_read_sends_nothing_and_changes_nothing_that_is_sent(
    built: Warehouse,
) -> None:
    """In each column of each row of each replica, and in whole columns."""
    fill(built, range(len(CASES) + 1))
    events, routed = sent(built), routes(built)
    assert {row[:2] for row in events[0]} == {
        (what, learner) for what in ("completion", "enrollment") for learner in (1, 7)
    }
    assert routed[0] == {(Region.EU, 1), (Region.US, 2), (Region.OTHER, 3)}
    assert {
        case: more
        for world, case in enumerate(CASES, 1)
        if (more := (events[world] - events[0]) | (routed[world] - routed[0]))
    } == {}


FEW = (0, *{table: number for number, (table, _, _) in enumerate(CASES, 1)}.values())
"""World 0, and for each replica a world in which one of its columns is unreadable."""


Sent = Mapping[int, set[tuple[object, ...]]]
Routes = Mapping[int, set[tuple[Region, int]]]


@pytest.fixture(scope="module")
def before(built: Warehouse) -> tuple[Sent, Routes]:
    """What ``FEW`` worlds send, and where, while each row can be read whose it is."""
    fill(built, FEW)
    return sent(built), routes(built)


@pytest.mark.parametrize(("table", "column"), ANYBODYS)
def test_a_row_that_may_be_anybodys_holds_everybody(
    built: Warehouse, before: tuple[Sent, Routes], table: str, column: str
) -> None:
    fill(built, FEW)
    rows = "region = 'EU'" if "webhook" in table else "true"
    built.execute(
        f"update {relation(built, table)} set {column} = '{UNREADABLE}'"
        f" where length(id) < 3 and {rows}"
    )
    after, rerouted = sent(built), routes(built)

    unspoiled, routed = before
    assert {row[1] for row in unspoiled[0] - after[0]} == ANYBODYS[table, column]
    for world in FEW:
        assert after[world] <= unspoiled[world]
        assert rerouted[world] <= routed[world]
