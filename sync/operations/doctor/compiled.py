"""Compile: EXPLAIN of every statement, which runs nothing and needs no running warehouse
(docs.snowflake.com/en/sql-reference/sql/explain)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

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
)
from sync.operations.doctor.rehearsal import BUILD_STEPS, STEPS, explained, is_missing, rehearse
from sync.operations.doctor.replicas import KIND_OF_TYPE, READ_FROM, replicas
from sync.settings import PROJECT_ROOT
from sync.warehouse import StatementFailed

DBT_SECONDS = 90


def _columns(visit: Visit) -> Finding:
    """Types of the replicas' columns against what staging reads them as."""
    session = visit.session(Session.BUILD)
    wanted = {
        session.raw_relation(one.source, table): (one.columns, one.optional)
        for table, one in replicas().items()
    }
    log = {"line": "text", "file_name": "text", "loaded_at": "timestamp"}
    wanted[session.raw_relation("tracking", "tracking_logs")] = (log, frozenset())
    found: dict[str, dict[str, str]] = {}
    columns = "table_schema, table_name, column_name, data_type"
    for relation, row in described(session, "columns", wanted, columns):
        found.setdefault(relation, {})[row["column_name"].lower()] = row["data_type"]
    problems = list(_problems(wanted, found))
    if problems:
        return failed(
            some(problems, "; "),
            "create views with these columns and types, and set their schema in the vars: "
            "docs/your-replica.md",
        )
    seen = wanted.keys() & found.keys()
    if not seen:
        return skipped("no source relation is visible: see Rights")
    return ok(f"{sum(len(wanted[one][0]) for one in seen)} columns of {len(seen)} relations")


def _problems(
    wanted: Mapping[str, tuple[Mapping[str, str], frozenset[str]]],
    found: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    for relation, (columns, optional) in sorted(wanted.items()):
        for name, read_as in columns.items():
            given = found.get(relation, {}).get(name)
            if relation not in found or (given is None and name in optional):
                continue
            if given is None:
                yield f"{relation} has no column {name}"
                continue
            kind = KIND_OF_TYPE.get(given.partition("(")[0].upper(), "other")
            if kind not in READ_FROM[read_as]:
                yield f"{relation}.{name} is {given}, which cannot be read as {read_as}"


def _models(visit: Visit) -> Finding:
    """As dbt compiles them here, in the session that dbt would have."""
    session = visit.session(Session.BUILD)
    with tempfile.TemporaryDirectory(prefix="ltw-doctor-") as directory:
        said = _dbt_compile(visit, Path(directory))
        paths = sorted(Path(directory, "compiled").rglob("*.sql"))
        if said:
            return failed(f"dbt compile failed: {said}", "fix it, then run dbt compile")
        errors: dict[str, StatementFailed | None] = {}
        for path in paths:
            if visit.is_late:
                return skipped(f"time ran out after {len(errors)} of {len(paths)} queries")
            errors[path.stem] = explained(session, path.read_text(encoding="utf-8"))
    return _verdict(errors, "queries of models and tests", "dbt build creates them")


def _dbt_compile(visit: Visit, directory: Path) -> str:
    """Compile into a directory; returns dbt's message if it fails. Generic tests are left out:
    those of replicas read whole tables to compile."""
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from dbt.cli.main import cli; cli()"),
                *("--quiet", "--no-use-colors", "compile"),
                *("--exclude", "test_type:generic", "test_type:unit"),
                *("--target", visit.settings.dbt_target),
                *("--project-dir", PROJECT_ROOT, "--profiles-dir", PROJECT_ROOT),
                *("--target-path", directory, "--log-path", directory),
            ],
            env=dict(visit.environ),
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=DBT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {DBT_SECONDS} s"
    if done.returncode == 0:
        return ""
    lines = (done.stdout + done.stderr).split()
    return " ".join(lines[-80:]) or f"exit code {done.returncode}"


def _statements(visit: Visit) -> Finding:
    delivery, build = visit.session(Session.DELIVERY), visit.session(Session.BUILD)

    def is_late() -> bool:
        return visit.is_late

    errors = {
        **rehearse(delivery, STEPS, is_late=is_late),
        **rehearse(build, BUILD_STEPS, is_late=is_late),
    }
    if visit.is_late:
        return skipped(f"time ran out after {len(errors)} statements")
    database, marts, _ = build.relation("marts", "x").split(".")
    if any(is_missing(one) for one in errors.values()) and build.rows(
        f"select table_name from {database}.information_schema.views"
        f" where table_schema = ? and table_name = 'WEBHOOK_DELIVERIES'",
        marts,
    ):
        return failed(
            f"dbt sees the marts, but delivery may not read what it needs of them: "
            f"{next(one for one in errors.values() if is_missing(one))}",
            f"grant select on all tables, and on all views, in schema {database}.{marts} to role "
            "of SNOWFLAKE_ROLE (deploy/snowflake/setup.sql)",
        )
    return _verdict(
        errors,
        "statements of delivery and operations",
        "ltw status creates the ledger, dbt build the marts",
    )


def _verdict(errors: Mapping[str, StatementFailed | None], what: str, made: str) -> Finding:
    missing = sum(is_missing(error) for error in errors.values())
    refused = [
        f"{name}: {error}" if name.isidentifier() else str(error)
        for name, error in errors.items()
        if error is not None and not is_missing(error)
    ]
    good = len(errors) - missing - len(refused)
    if refused:
        return failed(
            f"{len(refused)} of {len(errors)} {what} are refused: "
            + " ".join(some(refused, "; ").split()),
            "report them with the version above",
        )
    if missing:
        return skipped(
            f"{good} of {len(errors)} {what} compile; {missing} read what does not exist: {made}"
        )
    return ok(f"{good} {what} compile")


CHECKS = (
    Check("Compile", "types of columns", _columns),
    Check("Compile", "models", _models),
    Check("Compile", "statements", _statements),
)
