"""``ltw doctor``: its report on a healthy warehouse, and on each possible problem."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest

from sync import warehouse as warehouse_module
from sync.operations.doctor import (
    compiled,
    connect,
    doctor,
    meaning,
    rehearsal,
    rights,
    sensor,
    setup,
)
from sync.operations.doctor.check import Check, Finding, Session, Verdict, Visit, _look, examine
from sync.operations.doctor.doctor import CHECKS, Doctor
from sync.operations.doctor.pins import PINS
from sync.operations.doctor.replicas import KIND_OF_TYPE, READ_FROM, replicas
from sync.operations.operation import Report
from sync.settings import PROJECT_ROOT, EmbeddedWarehouse, SnowflakeWarehouse, build_settings
from sync.warehouse import RelationMissing, StatementFailed, Warehouse, open_warehouse
from tests.dbt.scenario import prepare, stand_models
from tests.support.command_line import command_line
from tests.support.dbt import Dbt
from tests.support.dead_hosts import closed_port
from tests.support.scenarios import Scenarios

NOT_REHEARSED: Mapping[str, str] = {
    "sync/ledger/tables.py": "makes tables, which cannot be explained",
    "sync/delivery/events.py:due_messages": "a part of the query of preview",
    "sync/operations/next_run.py": "has a session of its own, and asks what a run asks",
    "sync/operations/changes.py:_ledger_token": "a part of the statement of _tokens",
}
ACCOUNT = SnowflakeWarehouse(
    account="myorg-prod",
    user="LEARNING_TIME_WEBHOOKS",
    role="LEARNING_TIME_DELIVERY",
    warehouse="LEARNING_TIME_DELIVERY",
    database="ANALYTICS",
    schema="PUBLIC",
)
ENVIRON = {
    "SNOWFLAKE_DBT_ROLE": "LEARNING_TIME_BUILD",
    "SNOWFLAKE_DBT_WAREHOUSE": "LEARNING_TIME_BUILD",
}


@pytest.fixture
def built(scenarios: Scenarios, dbt: Dbt) -> Iterator[Warehouse]:
    """Every model and the ledger, without rows."""
    stand_models(scenarios, dbt)
    with open_warehouse(scenarios.settings, purpose="tests") as session:
        yield session


@pytest.fixture(scope="module")
def report(scenarios: Scenarios, dbt: Dbt) -> Report:
    """The doctor's report on it."""
    stand_models(scenarios, dbt)
    return Doctor().look(os.environ)


def test_nothing_is_wrong_with_a_good_warehouse_and_what_is_skipped_says_why(
    built: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the two slowest checks."""
    quick = [one for one in CHECKS if one.name not in ("models", "statements")]
    monkeypatch.setattr(doctor, "CHECKS", quick)
    found = Doctor().look(os.environ)
    assert not found.has_failed, found.document
    assert len(found.document["checks"]) == len(quick)
    for one in found.document["checks"]:
        assert one["verdict"] != "skipped" or "embedded warehouse" in one["detail"], one


@pytest.mark.prove
def test_a_good_warehouse_compiles_every_query_and_every_statement(report: Report) -> None:
    found = {one["name"]: one for one in report.document["checks"]}
    for name in ("models", "statements", "types of columns", "pins"):
        assert found[name]["verdict"] == "ok", found[name]


@pytest.mark.prove
def test_on_an_account_it_stays_under_a_tenth_of_a_credit(report: Report) -> None:
    """Resuming two X-Small warehouses: seconds of work plus the minute until each suspends.
    Compiling is assumed to cost 4.4 cloud services credits per hour, 0.1 s per statement."""
    of_an_account, of_dbt = 20, 60
    statements = report.document["statements"] + of_an_account + of_dbt
    warehouses = 2 * 75 / 3600
    compiling = statements * 0.1 * 4.4 / 3600
    assert statements < 440
    assert warehouses + compiling < 0.1


def test_every_statement_of_the_product_is_compiled(built: Warehouse) -> None:
    reached: set[str] = set()

    class Noting(rehearsal.Rehearsal):
        def _compile(self, sql: str, binds: tuple[object, ...]) -> None:
            frame = sys._getframe(1)
            while frame.f_code.co_filename in (rehearsal.__file__, warehouse_module.__file__):
                assert frame.f_back is not None
                frame = frame.f_back
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(PROJECT_ROOT / "sync"):
                name = frame.f_code.co_qualname.partition(".<")[0]
                reached.add(f"{path.relative_to(PROJECT_ROOT).as_posix()}:{name}")
            self.compiled[sql] = None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rehearsal, "Rehearsal", Noting)
        rehearsal.rehearse(built, (*rehearsal.STEPS, *rehearsal.BUILD_STEPS))
    wanted = {
        f"{path.relative_to(PROJECT_ROOT).as_posix()}:{name}"
        for folder in ("ledger", "delivery", "operations")
        for path in (PROJECT_ROOT / "sync" / folder).rglob("*.py")
        for name in _senders(ast.parse(path.read_text(encoding="utf-8")), "")
        if path.parent.name != "doctor"
    }
    exempt = {one for one in wanted if {one, one.partition(":")[0]} & NOT_REHEARSED.keys()}
    assert sorted(wanted - reached - exempt) == []
    assert len(wanted - exempt) > 40


def _senders(node: ast.AST, name: str) -> Iterator[str]:
    """Functions that send a statement."""
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = f"{name}.{child.name}".lstrip(".")
        if (
            isinstance(child, ast.Call)
            and isinstance(child.func, ast.Attribute)
            and child.func.attr in ("rows", "value", "execute", "bulk")
            and ast.unparse(child.func.value).endswith(("warehouse", "session"))
        ):
            yield name
        yield from _senders(child, inner)


def test_what_is_compiled_is_not_run_and_what_cannot_be_is_refused(built: Warehouse) -> None:
    outbox = built.relation("sync", "webhook_outbox")
    insert = f"insert into {outbox} (webhook_id, fence) select ?, ?"
    assert rehearsal.explained(built, insert, ("it's ? a \\ test", 1)) is None
    assert built.rows(f"select count(*) as n from {outbox}") == [{"n": 0}]
    wrong = f"update {outbox} as outbox set lost = ? where outbox.fence = ?"
    assert isinstance(rehearsal.explained(built, wrong, (None, 1)), StatementFailed)
    missing = rehearsal.explained(built, f"delete from {outbox}_before")
    assert rehearsal.is_missing(missing)


def test_a_replica_of_another_shape_is_named_before_anything_is_built(
    scenarios: Scenarios, warehouse: Warehouse
) -> None:
    scenarios.stand("prepared", prepare)
    warehouse.execute("alter table raw.lms.auth_user drop column username")
    warehouse.execute("alter table raw.lms.student_courseenrollment drop column created")
    warehouse.execute("alter table raw.lms.student_courseenrollment add column created date")
    warehouse.execute("alter table raw.lms.auth_user drop column email")
    warehouse.execute("drop table raw.enterprise.consent_datasharingconsent")
    names = ("types of columns", "source relations", "replicas for the sensor")
    found = looked((*compiled.CHECKS, *rights.CHECKS), *names)
    types = found.pop(names[0])
    assert types.verdict is Verdict.FAILED
    assert "AUTH_USER has no column username" in types.detail
    assert "created is DATE, which cannot be read as timestamp" in types.detail
    assert "email" not in types.detail, "a column that may be missing"
    for name, one in found.items():
        assert one.verdict is Verdict.FAILED, name
        assert "CONSENT_DATASHARINGCONSENT" in one.detail, name
        assert one.repair == "learning-time-webhooks warehouse start creates them", name
        on_an_account = on_account(rights.CHECKS, name, select=[])
        assert on_an_account.verdict is Verdict.FAILED, name
        assert "grant" in on_an_account.repair, name


def test_before_anything_is_built_what_needs_it_is_skipped(warehouse: Warehouse) -> None:
    checks = (*sensor.CHECKS, *setup.CHECKS, *compiled.CHECKS)
    found = looked(checks, "poll of change times", "endpoints", "statements")
    for name, one in found.items():
        assert one.verdict is Verdict.SKIPPED, (name, one)
        assert "not exist" in one.detail, name


def test_without_a_connection_each_check_says_so_and_none_is_left_out(
    monkeypatch: pytest.MonkeyPatch, warehouse_settings: EmbeddedWarehouse
) -> None:
    with closed_port("127.0.0.1") as port:
        monkeypatch.setenv("LTW_WAREHOUSE_PORT", str(port))
        results, _ = examine(CHECKS, os.environ)
    found = {one.check.name: one.finding for one in results}
    assert len(results) == len(CHECKS)
    for name in ("host", "login"):
        assert found[name].verdict is Verdict.FAILED
        assert "warehouse start" in found[name].repair + found[name].detail
    for name in ("source relations", "statements", "pins", "poll of change times", "endpoints"):
        assert found[name].verdict is Verdict.SKIPPED
        assert "see Connect" in found[name].detail
    assert found["feature flag"].verdict is Verdict.OK


def test_a_check_that_breaks_stops_no_other_and_quotes_nothing(
    warehouse_settings: EmbeddedWarehouse,
) -> None:
    def broken(visit: Visit) -> Finding:
        raise ValueError("robin@example.com")

    results, _ = examine((Check("X", "broken", broken), *setup.CHECKS[2:3]), os.environ)
    assert [one.finding.verdict for one in results] == [Verdict.FAILED, Verdict.OK]
    assert "robin" not in str(results)


def test_whatever_is_wrong_comes_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse
) -> None:
    monkeypatch.setenv("LTW_CREDITS_A_MONTH", "0")
    monkeypatch.setenv("WEBHOOKS_ACTIVATED_AT", "yesterday")
    monkeypatch.setenv("LTW_WEBHOOK_PORTS", "none")
    results, _ = examine((*rights.CHECKS, *setup.CHECKS), os.environ)
    wrong = {one.check.name: one.finding for one in results if one.finding.verdict != "skipped"}
    for name, one in wrong.items():
        assert bool(one.repair) == (one.verdict is not Verdict.OK), name
    assert {"environment", "activation", "ports"} <= {
        name for name, one in wrong.items() if one.verdict is Verdict.FAILED
    }


def test_the_command_ends_with_1_for_a_failure_and_fits_80_columns(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    warehouse: Warehouse,
) -> None:
    run = command_line(monkeypatch, capfd)
    monkeypatch.setattr(doctor, "CHECKS", (*rights.CHECKS[:1], *setup.CHECKS[:1]))
    failing = run("doctor")
    assert failing.code == 1
    assert max(len(line) for line in failing.out.splitlines()) <= 80
    assert "To do: learning-time-webhooks warehouse start" in failing.text
    assert run("doctor", "--json").document["verdicts"]["failed"] == 1
    monkeypatch.setattr(doctor, "CHECKS", setup.CHECKS[:1])
    assert run("doctor").code == 0
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "myorg-prod")
    half = run("doctor")
    assert half.code == 2
    assert "SNOWFLAKE_USER" in half.text


def looked(checks: Sequence[Check], *names: str) -> dict[str, Finding]:
    """The findings of some checks in the warehouse of the environment."""
    results, _ = examine([one for one in checks if one.name in names], os.environ)
    found = {one.check.name: one.finding for one in results}
    assert found.keys() == set(names)
    return found


# Only on a Snowflake account: responses in the form that Snowflake documents.


class Account(Warehouse):
    """A session that responds to a statement by its prefix; a text is an error."""

    def __init__(self, responses: Mapping[str, Sequence[Mapping[str, Any]] | str]) -> None:
        super().__init__(ACCOUNT, None)  # pyright: ignore[reportArgumentType]
        self._responses = responses

    def rows(self, sql: str, *binds: object) -> list[dict[str, Any]]:
        """The response to the longest known prefix."""
        self.statements += 1
        key = max((one for one in self._responses if sql.startswith(one)), key=len)
        found = self._responses[key]
        if isinstance(found, str):
            raise StatementFailed(found)
        return [dict(row) for row in found]

    def execute(self, sql: str, *binds: object) -> int:
        """Settings of the session."""
        assert sql.startswith("alter session")
        return 0


def on_account(
    checks: Sequence[Check], name: str, **responses: Sequence[Mapping[str, Any]] | str
) -> Finding:
    """A check's findings on an account with these responses; blanks are written as ``_``."""
    session = Account(
        {key if " " in key else key.replace("_", " "): one for key, one in responses.items()}
    )
    visit = Visit(ENVIRON, ACCOUNT, ExitStack(), dict.fromkeys(Session, session))
    (check,) = (one for one in checks if one.name == name)
    return _look(check, visit)


def test_parameters_that_change_what_a_cast_means_are_found_and_repaired() -> None:
    good = [
        {"key": "TIMEZONE", "value": "UTC", "default": "America/Los_Angeles"},
        {"key": "TIMESTAMP_INPUT_FORMAT", "value": "AUTO", "default": "AUTO"},
        {"key": "TIMESTAMP_TYPE_MAPPING", "value": "timestamp_ntz", "default": "TIMESTAMP_NTZ"},
        {"key": "QUOTED_IDENTIFIERS_IGNORE_CASE", "value": "false", "default": "false"},
        {"key": "ROWS_PER_RESULTSET", "value": "0", "default": "0"},
    ]
    wrong = {
        "Europe/Paris": "'UTC'",
        "DD/MM/YYYY HH24:MI": "'AUTO'",
        "TIMESTAMP_LTZ": "'TIMESTAMP_NTZ'",
        "true": "false",
        "10": "0",
    }
    for name in ("parameters of delivery", "parameters of build"):
        assert on_account(connect.CHECKS, name, show=good).verdict is Verdict.OK
    for at, (value, right) in enumerate(wrong.items()):
        bad = [row | {"value": value} if n == at else row for n, row in enumerate(good)]
        found = on_account(connect.CHECKS, "parameters of build", show=bad)
        assert found.verdict is Verdict.FAILED
        assert good[at]["key"] in found.detail
        assert found.repair == f"alter user … set {good[at]['key']} = {right}"


def test_the_session_of_dbt_has_none_of_the_parameters_that_ours_set(
    built: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dbt cannot set them, so the settings of the user and the account must show."""
    sent: list[str] = []
    execute = Warehouse.execute

    def noted(self: Warehouse, sql: str, *binds: object) -> int:
        sent.append(sql)
        return execute(self, sql, *binds)

    monkeypatch.setattr(Warehouse, "execute", noted)
    with ExitStack() as stack:
        Visit(os.environ, built.settings, stack).session(Session.BUILD)
    (statement,) = sent
    unset = statement.removeprefix("alter session unset ").upper().split(", ")
    assert set(unset) == warehouse_module.MEANING.keys()
    assert {"TIMEZONE", *connect.DECIDING} >= warehouse_module.MEANING.keys()


def test_the_rights_that_are_needed_are_those_of_the_setup_script() -> None:
    text = (PROJECT_ROOT / "deploy" / "snowflake" / "setup.sql").read_text(encoding="utf-8")
    for role, name in (
        ("learning_time_delivery", "privileges of delivery"),
        ("learning_time_build", "privileges of build"),
    ):
        granted = [
            {"privilege": privilege.strip().upper(), "granted_on": kind.upper(), "name": at.upper()}
            for privileges, kind, at in re.findall(
                rf"^grant ([\w, ]+?) on (warehouse|database|schema) (\S+) to role {role};",
                text,
                re.M,
            )
            for privilege in privileges.split(",")
        ]
        good = on_account(rights.CHECKS, name, show_grants=granted)
        assert good.verdict is Verdict.OK, good
        needed = rights.needed(
            Session.DELIVERY if "delivery" in name else Session.BUILD,
            build_settings(ACCOUNT, ENVIRON if "build" in name else {}),
        )
        for privilege, kind, at in needed:
            rest = [
                row
                for row in granted
                if (row["privilege"], row["granted_on"], row["name"]) != (privilege, kind, at)
            ]
            found = on_account(rights.CHECKS, name, show_grants=rest)
            assert found.verdict is Verdict.FAILED
            assert f"grant {privilege} on {kind} {at} to role {role}".lower() in found.repair
            owned = [*rest, {"privilege": "OWNERSHIP", "granted_on": kind, "name": at}]
            assert on_account(rights.CHECKS, name, show_grants=owned).verdict is Verdict.OK


def test_rights_count_that_come_by_a_database_role() -> None:
    needed = [
        {"privilege": privilege, "granted_on": kind, "name": at}
        for privilege, kind, at in rights.needed(Session.DELIVERY, ACCOUNT)
    ]
    below = [
        {"privilege": "USAGE", "granted_on": "DATABASE_ROLE", "name": name}
        for name in ("ANALYTICS.OURS", "SNOWFLAKE.USAGE_VIEWER")
    ]
    found = on_account(
        rights.CHECKS,
        "privileges of delivery",
        show_grants_to_role=below,
        **{
            "show grants to database role ANALYTICS.OURS": needed,
            "show grants to database role SNOWFLAKE.": "insufficient privileges",
        },
    )
    assert found.verdict is Verdict.OK, found
    hidden = on_account(rights.CHECKS, "privileges of delivery", show_grants="not permitted")
    assert hidden.verdict is Verdict.FAILED


TABLES = [
    {"table_schema": schema, "table_name": table.upper(), "table_type": "BASE TABLE"}
    for schema, table in (
        ("TRACKING", "tracking_logs"),
        *((one.source.upper(), table) for table, one in replicas().items()),
    )
]


def future(kind: str, at: str, role: str = "LEARNING_TIME_BUILD") -> dict[str, str]:
    return {
        "privilege": "SELECT",
        "grant_on": kind,
        "name": f"{at}.<{kind}>",
        "grantee_name": role,
    }


def test_a_kind_of_relation_without_a_future_grant_is_named() -> None:
    grants = [future("TABLE", "RAW")]

    def found(tables: Sequence[Mapping[str, str]], there: Sequence[Mapping[str, str]]) -> Finding:
        return on_account(
            rights.CHECKS,
            "future grants",
            select=tables,
            show_future_grants_to=grants,
            show_future_grants_in=there,
        )

    assert found(TABLES, []).verdict is Verdict.OK
    for change, kind in (
        ({"is_dynamic": "YES"}, "dynamic table"),
        ({"table_type": "VIEW"}, "view"),
        ({"is_iceberg": "YES"}, "iceberg table"),
    ):
        tables = [TABLES[0] | change, *TABLES[1:]]
        assert found(tables, []).repair == (
            f"grant select on future {kind}s in database RAW to role learning_time_build"
        )
        seen = on_account(rights.CHECKS, "source relations", select=tables)
        assert seen.detail == f"1 {kind}, {len(TABLES) - 1} tables"
    void = found(TABLES, [future("TABLE", "RAW.LMS", "ANALYSTS")])
    assert "on future tables in schema RAW.LMS to role learning_time_build" in void.repair


def test_a_future_grant_of_another_team_that_ours_would_shadow_is_named() -> None:
    ours = [future("TABLE", "RAW.LMS")]
    theirs = [future("TABLE", "RAW", "ANALYSTS"), future("VIEW", "RAW", "OTHERS")]
    common = {"show_future_grants_to": ours}
    found = on_account(rights.CHECKS, "grants of others", show_future_grants_in=theirs, **common)
    assert found.verdict is Verdict.WARNING
    assert found.repair == "grant select on future tables in schema RAW.LMS to role analysts"
    alone = on_account(
        rights.CHECKS, "grants of others", show_future_grants_in=theirs[1:], **common
    )
    assert alone.verdict is Verdict.OK
    blind = on_account(
        rights.CHECKS, "grants of others", show_future_grants_in="Insufficient privileges", **common
    )
    assert blind.verdict is Verdict.SKIPPED
    assert "show future grants in database RAW" in blind.detail


WAREHOUSES = [
    {
        "name": name,
        "size": "X-Small",
        "auto_suspend": 60,
        "resource_monitor": "LEARNING_TIME",
    }
    for name in ("LEARNING_TIME_BUILD", "LEARNING_TIME_DELIVERY")
]
MONITOR = {
    "name": "LEARNING_TIME",
    "credit_quota": "60.00",
    "used_credits": "12.50",
    "frequency": "MONTHLY",
    "suspend_at": None,
    "suspend_immediately_at": None,
}


@pytest.mark.parametrize(
    ("at", "suspend", "text"),
    [
        (None, None, "LEARNING_TIME_DELIVERY: 12.50 of 60 credits used, only notifies"),
        (0, "200%", "LEARNING_TIME_BUILD: 12.50 of 60 credits used, stops at 120"),
        (0, "100%", "a build every half hour uses 72 in 30 days"),
        (1, "200%", "no webhook is sent beyond 120 credits"),
    ],
)
def test_a_monitor_that_would_stop_deliveries_or_builds_is_named(
    at: int | None, suspend: str | None, text: str
) -> None:
    warehouses = [row | {"resource_monitor": f"M{n}"} for n, row in enumerate(WAREHOUSES)]
    monitors = [
        MONITOR | {"name": f"M{n}", "suspend_at": suspend if n == at else None} for n in range(2)
    ]
    found = on_account(rights.CHECKS, "resource monitor", show_w=warehouses, show_r=monitors)
    assert text in found.detail
    assert (found.verdict is Verdict.WARNING) is ("uses" in text or "webhook" in text)
    hidden = on_account(rights.CHECKS, "resource monitor", show_w=warehouses, show_r=[])
    assert hidden.verdict is Verdict.SKIPPED


def test_a_warehouse_that_is_never_suspended_is_named() -> None:
    assert on_account(rights.CHECKS, "idle warehouses", show=WAREHOUSES).verdict is Verdict.OK
    for wrong in ({"auto_suspend": None}, {"auto_suspend": 600}, {"size": "Large"}):
        rows = [WAREHOUSES[0] | wrong, WAREHOUSES[1]]
        assert on_account(rights.CHECKS, "idle warehouses", show=rows).verdict is Verdict.WARNING


def test_a_warehouse_that_may_not_be_used_or_does_not_run_is_named() -> None:
    good = on_account(connect.CHECKS, "warehouses", show=WAREHOUSES, select=[{"n": 1}])
    assert good.verdict is Verdict.OK
    for responses, text in (
        ({"show": WAREHOUSES[1:], "select": [{"n": 1}]}, "LEARNING_TIME_BUILD does not exist"),
        ({"show": WAREHOUSES, "select": "quota exceeded"}, "_TIME_BUILD cannot run a query"),
    ):
        found = on_account(connect.CHECKS, "warehouses", **responses)
        assert found.verdict is Verdict.FAILED
        assert text in found.detail


def test_a_delivery_warehouse_that_does_not_run_is_no_other_meaning() -> None:
    found = on_account(meaning.CHECKS, "pins", select="quota exceeded")
    assert found.verdict is Verdict.FAILED
    assert "LEARNING_TIME_DELIVERY cannot run a query: quota exceeded" in found.detail
    assert "raise the quota" in found.repair


def test_the_edition_is_inferred_from_what_the_account_has_allowed() -> None:
    for days, text in (("7", "Enterprise or higher"), ("1", "unknown: Standard")):
        rows = [{"name": "SYNC", "retention_time": days}, {"name": "X", "retention_time": ""}]
        assert text in on_account(connect.CHECKS, "edition", show=rows).detail


def test_secondary_roles_are_named() -> None:
    for others, verdict in (("", Verdict.OK), ("SYSADMIN", Verdict.WARNING)):
        row = {"role": "LEARNING_TIME_DELIVERY", "others": others}
        assert on_account(connect.CHECKS, "roles", select=[row]).verdict is verdict


def test_marts_that_dbt_sees_and_delivery_does_not_are_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = {"select 1": RelationMissing("ANALYTICS.MARTS.X does not exist or not authorized")}
    monkeypatch.setattr(compiled, "rehearse", lambda *_, **__: lost)
    before = on_account(compiled.CHECKS, "statements", select=[])
    assert before.verdict is Verdict.SKIPPED
    built = on_account(compiled.CHECKS, "statements", select=[{"table_name": "WEBHOOK_DELIVERIES"}])
    assert built.verdict is Verdict.FAILED
    assert "in schema ANALYTICS.MARTS" in built.repair


def test_a_rehearsal_runs_nothing(built: Warehouse) -> None:
    with pytest.raises(StatementFailed, match="runs nothing"):
        Warehouse.execute(rehearsal.Rehearsal(built), "select 1")


def test_the_sensor_must_respond_where_nothing_could_be_billed() -> None:
    tokens = [{"ledger": "x", "mart": "x"} | {f"token_{n}": "1" for n in range(9)}]
    for name, response, verdict in (
        (None, tokens, Verdict.OK),
        (None, "000606: No active warehouse selected in the current session", Verdict.FAILED),
        ("ANOTHER", tokens, Verdict.SKIPPED),
    ):
        found = on_account(
            sensor.CHECKS,
            "poll of change times",
            **{"select coalesce": response, "select current_warehouse()": [{"name": name}]},
        )
        assert found.verdict is verdict, found


def test_of_all_pins_those_that_differ_or_are_refused_are_named(built: Warehouse) -> None:
    wrong = replace(PINS[0], response="another")
    refused = replace(PINS[1], expression="no_such_column")
    found = meaning.responses(built, [wrong, refused, PINS[2]])
    assert found[wrong].startswith("responds ")
    assert "no_such_column" in found[refused]
    assert found[PINS[2]] == ""
    with pytest.raises(StatementFailed, match="no_such_column"):
        meaning.responses(built, [refused, PINS[2]], is_late=lambda: True)


def test_what_a_type_is_read_from_is_what_the_macros_read_it_from() -> None:
    """The table has exactly the kinds that a macro does not turn into NULL."""
    folder = PROJECT_ROOT / "dbt_project" / "macros"
    text = "".join(one.read_text(encoding="utf-8") for one in sorted(folder.glob("*.sql")))
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=True)
    macros: Any = environment.from_string(text, {"return": str, "target": {"name": "x"}}).module
    for name, kind in KIND_OF_TYPE.items():
        assert macros.kind_of_type(name).strip() == kind
    for read_as, kinds in READ_FROM.items():
        for kind in {*KIND_OF_TYPE.values(), "other"}:
            sql = str(macros.read_value(read_as, "given", kind, "iso")).strip()
            assert (re.match(r"null\b", sql) is None) is (kind in kinds), (read_as, kind, sql)
