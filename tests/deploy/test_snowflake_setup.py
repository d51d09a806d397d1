"""The grants suffice for every relation that the project reads and writes, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sync.operations.changes import SOURCES
from sync.operations.dial import DEFAULT_MINUTES, monthly_credits
from sync.settings import raw_relation
from sync.warehouse import MEANING
from tests.support.compose import DEPLOY
from tests.support.snowflake_rules import broken_rules

BUILD, DELIVERY, READER, LOADER = (
    f"learning_time_{name}" for name in ("build", "delivery", "reader", "loader")
)
KINDS = (
    *("tables", "views", "materialized views"),
    *("dynamic tables", "external tables", "iceberg tables"),
)
"""The kinds of replicas. A grant on tables does not cover the others
(https://docs.snowflake.com/en/sql-reference/sql/grant-privilege)."""
GRANT = re.compile(
    r"grant (?P<rights>[\w, ]+) on (?P<kind>(?:(?:all|future) [\w ]+? in )?(?:schema|database)"
    r"|warehouse|resource monitor|view|table) (?P<name>[\w.]+) to role (?P<role>\w+)"
)
PERSONAL = {"username", "email", "percipio_user_id", "body", "line"}
HEADS = {"use", "grant", "create", "alter"}


@dataclass(frozen=True)
class Granted:
    """One right of a role."""

    right: str
    kind: str
    name: str
    role: str


def statements(file: str) -> list[str]:
    """The statements without comments, in lower case, with single blanks."""
    text = (DEPLOY / "snowflake" / file).read_text(encoding="utf-8")
    bare = re.sub(r"--[^\n]*", "", text).lower()
    return [" ".join(one.split()) for one in bare.split(";") if one.strip()]


ALL = [*statements("setup.sql"), *statements("readers.sql")]
GRANTS = {
    Granted(right.strip(), found["kind"], found["name"], found["role"])
    for one in ALL
    if (found := GRANT.fullmatch(one))
    for right in found["rights"].split(",")
}


def test_every_statement_is_snowflakes() -> None:
    for one in ALL:
        assert broken_rules(one) == ()
        assert one.split()[0] in HEADS, one
        if one.startswith("grant") and " on " in one:
            assert GRANT.fullmatch(one), f"not understood by this test: {one}"


def test_everything_that_is_granted_on_or_to_is_made_here() -> None:
    made = " ".join(one for one in ALL if one.startswith("create"))
    roles = set(re.findall(r"create role if not exists (\w+)", made))
    warehouses = set(re.findall(r"create warehouse if not exists (\w+)", made))
    schemas = set(re.findall(r"create schema if not exists (\w+\.\w+)", made))
    assert {one.role for one in GRANTS} == roles == {BUILD, DELIVERY, READER, LOADER}
    assert {one.name for one in GRANTS if one.kind == "warehouse"} == warehouses
    ours = {one.name for one in GRANTS if one.kind.endswith("schema")}
    assert {one for one in ours if not one.startswith("raw.")} == schemas


def test_every_statement_can_be_run_again() -> None:
    for one in ALL:
        if one.startswith("create"):
            assert " if not exists " in one, one


def may(role: str, right: str, kind: str, name: str) -> bool:
    return Granted(right, kind, name, role) in GRANTS


def may_read_replicas(role: str, schema: str) -> bool:
    """For any kind of replica in the schema, even after it is recreated."""
    return may(role, "usage", "schema", schema) and all(
        may(role, "select", f"all {kind} in schema", schema)
        and may(role, "select", f"future {kind} in database", schema.split(".")[0])
        for kind in KINDS
    )


def shadowed(grants: Iterable[Granted], made: str) -> list[Granted]:
    """Future grants that override those of a database, for all roles, in a schema of others.

    https://docs.snowflake.com/en/sql-reference/sql/grant-privilege#considerations and
    https://docs.snowflake.com/en/release-notes/bcr-bundles/2025_01/bcr-1870.
    """
    return [
        one
        for one in grants
        if one.kind.startswith("future") and one.kind.endswith("schema")
        if f"create schema if not exists {one.name} " not in f"{made} "
    ]


def test_no_future_grant_takes_what_another_team_was_granted_in_a_database() -> None:
    made = " ; ".join(one for one in ALL if one.startswith("create schema"))
    assert shadowed(GRANTS, made) == []
    others = Granted("select", "future tables in schema", "raw.lms", BUILD)
    assert shadowed([*GRANTS, others], made) == [others]


def test_dbt_may_read_every_source_and_build_every_model(manifest: dict[str, Any]) -> None:
    sources = {f"{one['database']}.{one['schema']}" for one in manifest["sources"].values()}
    assert sources == {"raw.lms", "raw.enterprise", "raw.tracking", "analytics.sync"}
    for schema in sources - {"analytics.sync"}:
        assert may_read_replicas(BUILD, schema), schema
    assert may(BUILD, "usage", "schema", "analytics.sync")
    for when in ("all", "future"):
        assert may(BUILD, "select", f"{when} tables in schema", "analytics.sync")
    built = {
        f"{one['database']}.{one['schema']}"
        for one in manifest["nodes"].values()
        if one["resource_type"] in ("model", "seed")
    }
    assert built == {"analytics.staging", "analytics.intermediate", "analytics.marts"}
    for schema in built:
        for right in ("usage", "create table", "create view"):
            assert may(BUILD, right, "schema", schema)
    for database in ("raw", "analytics"):
        assert may(BUILD, "usage", "database", database)


def test_who_reads_the_history_of_costs_is_granted_it_by_hand() -> None:
    """It shows the usage of the whole account. USAGE_VIEWER is the least privileged role for it:
    https://docs.snowflake.com/en/sql-reference/snowflake-db-roles."""
    text = (DEPLOY / "snowflake" / "setup.sql").read_text(encoding="utf-8")
    assert f"--    grant database role snowflake.usage_viewer to role {BUILD};\n" in text
    assert not any("database role" in one for one in ALL)


def test_delivery_may_make_the_ledger_read_the_marts_and_ask_the_replicas() -> None:
    for right in ("usage", "create table"):
        assert may(DELIVERY, right, "schema", "analytics.sync")
    for what in ("tables", "views"):
        for when in ("all", "future"):
            assert may(DELIVERY, "select", f"{when} {what} in schema", "analytics.marts")
    for schema, table, _ in SOURCES:
        asked = raw_relation(schema, table).lower().rsplit(".", 1)[0]
        assert may_read_replicas(DELIVERY, asked), asked


def test_no_role_may_more_than_it_needs() -> None:
    rights = {one.right for one in GRANTS}
    creating = {"create table", "create view", "create stage"}
    assert rights == {"usage", "monitor", "select", "insert"} | creating
    writers = {(one.role, one.name) for one in GRANTS if one.right.startswith(("create", "insert"))}
    assert writers == {
        (BUILD, "analytics.staging"),
        (BUILD, "analytics.intermediate"),
        (BUILD, "analytics.marts"),
        (DELIVERY, "analytics.sync"),
        (LOADER, "raw.tracking"),
    }
    assert not any(one.role == DELIVERY and one.name == "raw.tracking" for one in GRANTS)
    assert not any(
        "schema" in one.kind and one.right == "select" for one in GRANTS if one.role == READER
    )


def test_operators_read_no_names_no_bodies_and_no_raw_lines(manifest: dict[str, Any]) -> None:
    marts = {
        f"{one['database']}.{one['schema']}.{one['name']}": one
        for one in manifest["nodes"].values()
        if one["resource_type"] == "model"
    }
    readable = {one for one in GRANTS if one.role == READER and one.right == "select"}
    assert readable
    for one in readable:
        model = marts[one.name]
        assert set(model["columns"]) & PERSONAL == set(), one.name
        is_view = model["config"]["materialized"] == "view"
        assert one.kind == ("view" if is_view else "table"), one.name
        assert model["config"]["copy_grants"] is True, "else the next build takes the grant away"
    # The search itself would find them.
    assert set(marts["analytics.marts.completed_enrollments"]["columns"]) & PERSONAL


def test_the_service_user_has_a_key_only_and_one_role_at_a_time() -> None:
    (user,) = [one for one in ALL if one.startswith("create user")]
    assert "type = service" in user
    assert "password" not in user
    assert "default_secondary_roles = ()" in user


def test_warehouses_stop_by_themselves_and_statements_end() -> None:
    found = [one for one in ALL if one.startswith("create warehouse")]
    assert len(found) == 2
    for one in found:
        assert "auto_suspend = 60 " in one
        assert "initially_suspended = true" in one
        assert re.search(r"statement_timeout_in_seconds = \d+", one)


def monitor(warehouse: str) -> str:
    """The statement that makes the monitor of a warehouse."""
    (name,) = re.findall(rf"{warehouse} set resource_monitor = (\w+)", "; ".join(ALL))
    (made,) = [
        one for one in ALL if one.startswith(f"create resource monitor if not exists {name} ")
    ]
    return made


def test_no_monitor_ever_stops_deliveries_and_one_stops_builds() -> None:
    """https://docs.snowflake.com/en/user-guide/resource-monitors: SUSPEND lasts until the interval
    ends, which is the month."""
    assert "suspend" not in monitor("learning_time_delivery")
    assert "on 100 percent do suspend" in monitor("learning_time_build")
    for warehouse in ("learning_time_build", "learning_time_delivery"):
        assert "on 80 percent do notify" in monitor(warehouse)
        assert may(DELIVERY, "monitor", "resource monitor", monitor(warehouse).split()[6])
    quota = f"credit_quota = {monthly_credits(DEFAULT_MINUTES)} "
    assert quota in monitor("learning_time_delivery"), "what the cost dial allows at most"


def test_every_session_of_the_user_reads_times_and_names_alike() -> None:
    """dbt's sessions do not set these, and an account may have other values."""
    (said,) = [one for one in ALL if one.startswith("alter user learning_time_webhooks set ")]
    values = dict(re.findall(r"(\w+) = '?(\w+)'?", said))
    assert values.pop("lock_timeout") == "900"
    assert values == {name.lower(): str(value).lower() for name, value in MEANING.items()}


def test_what_customers_have_received_outlives_a_mistake() -> None:
    """The ledger's tables are permanent: Time Travel regardless of the account, and Fail-safe."""
    (schema,) = [one for one in ALL if one.startswith("create schema") and "analytics.sync" in one]
    assert "transient" not in schema
    assert "data_retention_time_in_days = 1" in schema
