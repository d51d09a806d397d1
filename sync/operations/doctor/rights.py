"""Rights: what the two roles may read and create, now and after a table is recreated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sync.domain.event_types import recorded_types
from sync.operations.changes import watched
from sync.operations.doctor.check import (
    Check,
    Finding,
    Session,
    Visit,
    described,
    failed,
    ok,
    skipped,
    some,
    warning,
)
from sync.operations.doctor.connect import warehouses
from sync.operations.doctor.replicas import replicas
from sync.settings import SnowflakeWarehouse, model_relation
from sync.warehouse import StatementFailed

MOST_ROLES = 10
"""Roles below ours that are inspected."""
BUILDS_A_DAY = 48
CREDITS_A_BUILD = 0.05
"""Of an X-Small: a build of up to three minutes, including the one until it suspends."""
SIZES = {"X-Small": 1, "Small": 2, "Medium": 4, "Large": 8}
"""Credits per hour: docs.snowflake.com/en/user-guide/cost-understanding-compute."""
DAYS = {"DAILY": 1, "WEEKLY": 7, "MONTHLY": 30, "YEARLY": 365}

Grant = tuple[str, str, str]
"""Privilege, kind of object, name."""


def _relations(visit: Visit) -> Finding:
    """Each source relation by kind; in information_schema a role sees what it has a right on."""
    kinds = _kinds(visit, Session.BUILD)
    unneeded = _unneeded(visit)
    missing = [name for name in _sources(visit) if name not in kinds and name not in unneeded]
    if missing:
        role = _role(visit, Session.BUILD)
        return failed(
            f"missing, or {role} may not read them: {some(missing)}",
            _repair(
                visit,
                "check the first six vars of dbt_project.yml; then grant usage on their database "
                f"and schema, and select on the relation, to {role} (deploy/snowflake/setup.sql)",
            ),
        )
    counted = Counter(kinds[name] for name in _sources(visit) if name in kinds)
    return ok(", ".join(f"{n} {kind.lower()}{'s' * (n > 1)}" for kind, n in counted.items()))


def _sensor_relations(visit: Visit) -> Finding:
    kinds = _kinds(visit, Session.DELIVERY)
    session = visit.session()
    wanted = [session.raw_relation(schema, name) for schema, name, _ in watched(recorded_types())]
    missing = [name for name in wanted if name not in kinds]
    if missing:
        role = _role(visit, Session.DELIVERY)
        return failed(
            f"{role} does not see {some(missing)}; completions_arrived would start no run",
            _repair(visit, f"grant select on them to {role} (deploy/snowflake/setup.sql)"),
        )
    return ok(f"{len(wanted)} replicas whose changes start a delivery run")


def _privileges(kind: Session) -> Check:
    def look(visit: Visit) -> Finding:
        account = visit.account("grants everything to everybody", kind)
        held = _grants(visit, kind, account.role.upper())
        missing = [
            one
            for one in needed(kind, account)
            if one not in held and ("OWNERSHIP", *one[1:]) not in held
        ]
        if missing:
            return failed(
                f"{account.role} lacks " + ", ".join(f"{one[0]} on {one[2]}" for one in missing),
                "; ".join(
                    f"grant {privilege} on {what} {name} to role {account.role}".lower()
                    for privilege, what, name in missing
                ),
            )
        return ok(f"{account.role} has the {len(needed(kind, account))} privileges that it needs")

    return Check("Rights", f"privileges of {kind}", look)


def needed(kind: Session, account: SnowflakeWarehouse) -> Sequence[Grant]:
    """What ``deploy/snowflake/setup.sql`` grants to a role besides the right to read relations."""

    def schema(name: Any) -> str:
        return model_relation(account, name, "x").rpartition(".")[0]

    own = (
        [("CREATE TABLE", "sync")]
        if kind is Session.DELIVERY
        else [
            (f"CREATE {what}", name)
            for name in ("staging", "intermediate", "marts")
            for what in ("TABLE", "VIEW")
        ]
    )
    used = ["marts", "sync", *(["staging", "intermediate"] if kind is Session.BUILD else [])]
    return [
        ("USAGE", "WAREHOUSE", account.warehouse.upper()),
        ("USAGE", "DATABASE", account.database),
        *(("USAGE", "SCHEMA", schema(name)) for name in used),
        *((privilege, "SCHEMA", schema(name)) for privilege, name in own),
    ]


def _future(visit: Visit) -> Finding:
    """A recreated replica is a new relation; its kind needs a future grant."""
    visit.account("makes no grants")
    kinds = _kinds(visit, Session.BUILD)
    wanted = {(kinds[one], one.rpartition(".")[0]) for one in _sources(visit) if one in kinds}
    if not wanted:
        return skipped("no source relation is visible")
    role, session = _role(visit, Session.BUILD), visit.session(Session.BUILD)
    rows = session.rows(f"show future grants to role {role}")
    held = {(_kind_of(row), _container(row)) for row in rows if row["privilege"] == "SELECT"}
    # Where a schema has future grants of a kind, those on its database are void there.
    void, blind = set(), []
    for schema in sorted({schema for _, schema in wanted}):
        try:
            void |= {
                (_kind_of(row), schema)
                for row in session.rows(f"show future grants in schema {schema}")
            }
        except StatementFailed:
            blind.append(schema)
    missing = sorted(
        (kind, f"schema {schema}" if (kind, schema) in void else f"database {database}")
        for kind, schema in wanted - held
        for database in [schema.partition(".")[0]]
        if (kind, schema) in void or (kind, database) not in held
    )
    if missing:
        return warning(
            "a recreated replica could not be read: "
            + ", ".join(f"no future grant on {kind.lower()}s in {at}" for kind, at in missing),
            "; ".join(
                f"grant select on future {kind.lower()}s in {at} to role {role.lower()}"
                for kind, at in dict.fromkeys(missing)
            ),
        )
    unseen = f"; those of others in {some(blind)} are not visible" if blind else ""
    return ok(f"for each kind in use: {some(sorted({one.lower() for one, _ in wanted}))}{unseen}")


def _shadowed(visit: Visit) -> Finding:
    """Future grants on a schema override those on its database, for each kind of object:
    docs.snowflake.com/en/sql-reference/sql/grant-privilege (considerations of future grants)."""
    visit.account("makes no grants")
    session, role = visit.session(Session.BUILD), _role(visit, Session.BUILD)
    own = session.rows(f"show future grants to role {role}")
    ours = {(_kind_of(row), _container(row)) for row in own if "." in _container(row)}
    lost = set()
    for database in sorted({schema.partition(".")[0] for _, schema in ours}):
        try:
            rows = session.rows(f"show future grants in database {database}")
        except StatementFailed:
            return skipped(
                f"{role} may not see them; run as SECURITYADMIN: show future grants in database "
                f"{database}"
            )
        lost |= {
            (_kind_of(row), schema, str(row["grantee_name"]))
            for row in rows
            for kind, schema in ours
            if row["grantee_name"] != role
            and kind == _kind_of(row)
            and schema.startswith(f"{database}.")
        }
    if lost:
        return warning(
            "ours on the schema override those on the database: "
            + ", ".join(f"{grantee} on {kind.lower()}s of {at}" for kind, at, grantee in lost),
            "; ".join(
                f"grant select on future {kind.lower()}s in schema {at} to role {grantee.lower()}"
                for kind, at, grantee in sorted(lost)
            ),
        )
    return ok("ours override none of another team")


def _rest(visit: Visit) -> Finding:
    """What a warehouse costs between two runs."""
    visit.account("costs nothing")
    problems = []
    for row in _own_warehouses(visit):
        seconds = int(str(row["auto_suspend"] or 0))
        if not 0 < seconds <= 60:
            problems.append(f"{row['name']} suspends after {seconds or 'no'} s")
        if row["size"] != "X-Small":
            problems.append(f"{row['name']} is {row['size']}")
    if problems:
        return warning(
            f"each run costs more than it has to: {'; '.join(problems)}",
            "alter warehouse … set auto_suspend = 60, warehouse_size = xsmall; use a larger one "
            "only for a full refresh that takes too long",
        )
    return ok("X-Small, suspended after a minute")


def _monitor(visit: Visit) -> Finding:
    """What the schedules may use must not reach a monitor that suspends."""
    visit.account("costs nothing")
    rows = {str(row["name"]): row for row in visit.session().rows("show resource monitors")}
    names = {str(one["resource_monitor"]) for one in _own_warehouses(visit)} - {"null", "", "None"}
    if not names:
        return warning(
            "no resource monitor watches the warehouses",
            "create one as deploy/snowflake/setup.sql does",
        )
    if not names & rows.keys():
        return skipped(
            f"the role may not see {', '.join(sorted(names))}; grant monitor on resource monitor … "
            "to role …, or run as ACCOUNTADMIN: show resource monitors"
        )
    said, problems = [], []
    delivery = visit.account("").warehouse.upper()
    for one in _own_warehouses(visit):
        row = rows.get(str(one["resource_monitor"]))
        if row is None:
            continue
        quota = float(row["credit_quota"] or 0)
        stops = [
            float(str(row[at]).rstrip("%")) / 100 * quota
            for at in ("suspend_at", "suspend_immediately_at")
            if row.get(at)
        ]
        days = DAYS.get(str(row["frequency"]).upper(), 30)
        takes = days * BUILDS_A_DAY * CREDITS_A_BUILD * SIZES.get(str(one["size"]), 16)
        said.append(
            f"{one['name']}: {row['used_credits']} of {quota:,.0f} credits used"
            + (f", stops at {min(stops):,.0f}" if stops else ", only notifies")
        )
        if stops and one["name"] == delivery:
            problems.append(f"no webhook is sent beyond {min(stops):,.0f} credits")
        elif stops and min(stops) < takes:
            problems.append(f"a build every half hour uses {takes:,.0f} in {days} days")
    if problems:
        return warning(
            "; ".join([*said, *problems]),
            "make the monitor of the delivery warehouse notify only, and raise the quota of the "
            "other (deploy/snowflake/setup.sql)",
        )
    return ok("; ".join(said))


def _own_warehouses(visit: Visit) -> Sequence[Mapping[str, Any]]:
    kinds = (Session.DELIVERY, Session.BUILD)
    names = {visit.account("", kind).warehouse.upper() for kind in kinds}
    found = {str(row["name"]): row for kind in kinds for row in warehouses(visit, kind)}
    return [found[name] for name in sorted(names & found.keys())]


def _sources(visit: Visit) -> Sequence[str]:
    session = visit.session(Session.BUILD)
    return [
        session.raw_relation("tracking", "tracking_logs"),
        *(session.raw_relation(one.source, table) for table, one in replicas().items()),
    ]


def _unneeded(visit: Visit) -> set[str]:
    """Replicas that may be missing, since no enabled event type reads them."""
    session = visit.session(Session.BUILD)
    needed = {name for _, name, _ in watched(recorded_types())}
    return {
        session.raw_relation(one.source, table)
        for table, one in replicas().items()
        if one.may_be_missing and table not in needed
    }


def _kinds(visit: Visit, kind: Session) -> Mapping[str, str]:
    """Relations that a session sees in the databases of the sources, with their kinds."""
    rows = described(visit.session(kind), "tables", _sources(visit))
    return {relation: kind_of(row) for relation, row in rows}


def kind_of(row: Mapping[str, Any]) -> str:
    """The kind of a row of information_schema.tables as GRANT names it."""
    if row.get("is_dynamic") == "YES":
        return "DYNAMIC TABLE"
    if row.get("is_iceberg") == "YES":
        return "ICEBERG TABLE"
    kind = str(row["table_type"])
    return "TABLE" if kind in ("BASE TABLE", "LOCAL TEMPORARY", "TEMPORARY TABLE") else kind


def _grants(visit: Visit, kind: Session, role: str) -> set[Grant]:
    """What a role has, including grants of the roles below it and of database roles."""
    session = visit.session(kind)
    held: set[Grant] = set()
    waiting, known = [("ROLE", role)], {role}
    while waiting and len(known) <= MOST_ROLES:
        of, below = waiting.pop()
        try:
            rows = session.rows(f"show grants to {of.lower()} {below}")
        except StatementFailed:
            if below == role:
                raise
            continue  # one of Snowflake's own, such as snowflake.usage_viewer
        for row in rows:
            what, name = str(row["granted_on"]).replace("_", " "), str(row["name"])
            held.add((str(row["privilege"]), what, name))
            is_role = what in ("ROLE", "DATABASE ROLE") and row["privilege"] == "USAGE"
            if is_role and name not in known:
                known.add(name)
                waiting.append((what, name))
    return held


def _kind_of(row: Mapping[str, Any]) -> str:
    return str(row["grant_on"]).replace("_", " ")


def _container(row: Mapping[str, Any]) -> str:
    """The schema or database of a future grant, from a name such as ``RAW.LMS.<TABLE>``."""
    return str(row["name"]).partition(".<")[0]


def _role(visit: Visit, kind: Session) -> str:
    if not isinstance(visit.settings, SnowflakeWarehouse):
        return "the session"
    return visit.account("", kind).role.upper()


def _repair(visit: Visit, on_account: str) -> str:
    if isinstance(visit.settings, SnowflakeWarehouse):
        return on_account
    return "learning-time-webhooks warehouse start creates them"


CHECKS = (
    Check("Rights", "source relations", _relations),
    Check("Rights", "replicas for the sensor", _sensor_relations),
    *(_privileges(kind) for kind in (Session.DELIVERY, Session.BUILD)),
    Check("Rights", "future grants", _future),
    Check("Rights", "grants of others", _shadowed),
    Check("Rights", "idle warehouses", _rest),
    Check("Rights", "resource monitor", _monitor),
)
