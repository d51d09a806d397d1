"""dbt's data tests over a few given rows, with one statement per case and no dbt run.

The SQL is what dbt compiled, with two replacements: each relation it reads becomes a table of such
rows with the relation's columns and types, and the clock becomes ``NOW``, so that thresholds can be
hit exactly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sync.warehouse import Warehouse

NOW = datetime(2026, 3, 10, 12)
"""The value of ``sysdate()`` in a data test here."""
OTHER_CLOCKS = re.compile(r"current_(date|time|timestamp)|localtime|getdate\(", re.IGNORECASE)
CLOCK = re.compile(r"\bsysdate\(\)", re.IGNORECASE)
TYPES = {"TEXT": "varchar"}
"""Types whose name in the information schema differs from DDL."""

Row = Mapping[str, object]
Rows = Mapping[str, Sequence[Row]]
"""Model, seed or source table to its rows; a column that a row leaves out is NULL."""


@dataclass(frozen=True)
class Proof:
    """Rows that show what a data test accepts and what it rejects.

    ``base`` passes. Every other case is named after its difference, and replaces the rows of the
    relations it mentions.
    """

    base: Rows
    passes: Mapping[str, Rows] = field(default_factory=dict)
    warns: Mapping[str, Rows] = field(default_factory=dict)
    fails: Mapping[str, Rows] = field(default_factory=dict)
    on_nothing: str = "pass"
    """Status if every relation is empty."""

    def cases(self) -> Iterator[tuple[str, Rows, str]]:
        """Name, rows and expected status of each case."""
        yield "base", self.base, "pass"
        yield "nothing", {}, self.on_nothing
        for status, cases in (("pass", self.passes), ("warn", self.warns), ("fail", self.fails)):
            for name, rows in cases.items():
                yield name, {**self.base, **rows}, status


Changes = Mapping[str, Row | Sequence[Row]]


def each_row(
    relation: str,
    good: Row,
    *,
    passes: Changes | None = None,
    warns: Changes | None = None,
    fails: Changes | None = None,
) -> Proof:
    """Proof for a test that reads one relation: each case is ``good`` with some columns changed.

    A case of several rows is a sequence of such changes.
    """

    def changed(cases: Changes | None) -> dict[str, Rows]:
        return {
            name: {
                relation: [
                    {**good, **row} for row in ([case] if isinstance(case, Mapping) else case)
                ]
            }
            for name, case in (cases or {}).items()
        }

    return Proof({relation: [good]}, changed(passes), changed(warns), changed(fails))


def grain(relation: str, **key: object) -> Proof:
    """Proof for a unique key: rows may share all of its columns but one; none is NULL."""
    return Proof(
        {relation: [key]},
        passes={
            f"another {name}": {relation: [key, {**key, name: another(value)}]}
            for name, value in key.items()
        },
        fails={
            "the same key twice": {relation: [key, key]},
            **{f"no {name}": {relation: [{**key, name: None}]} for name in key},
        },
    )


def another(value: object) -> object:
    """A different value of the same type."""
    match value:
        case str():
            return value + "x"
        case int():
            return value + 1
        case datetime():
            return value + timedelta(microseconds=1)
        case date():
            return value + timedelta(days=1)
        case _:
            raise TypeError(f"no other value of {value!r}")


def copies(count: int, row: Row) -> list[Row]:
    """The same row this many times."""
    return [row] * count


def ago(**span: float) -> datetime:
    """A time before ``NOW``; the keywords are those of ``timedelta``."""
    return NOW - timedelta(**span)


@dataclass(frozen=True)
class DataTest:
    """A data test as dbt compiled it for a target and its vars."""

    name: str
    sql: str
    relations: Mapping[str, str]
    """Maps the name of a model, seed or source table to the relation in ``sql``."""
    severity: str
    fail_calc: str
    warn_if: str
    error_if: str
    limit: int
    """Maximum rows read; 1 if the worst row decides, which must then come first."""

    @property
    def statuses(self) -> set[str]:
        """Possible outcomes for bad rows; a warning only if it has a separate threshold."""
        if self.severity == "warn":
            return {"warn"}
        return {"fail"} if self.warn_if == self.error_if else {"warn", "fail"}


def compiled_data_tests(manifest: Mapping[str, Any]) -> dict[str, DataTest]:
    """All data tests of a manifest that ``dbt compile`` wrote, by name."""
    known = manifest["nodes"] | manifest["sources"]
    return {
        node["name"]: DataTest(
            name=node["name"],
            sql=node["compiled_code"],
            relations={
                known[one]["name"]: known[one]["relation_name"]
                for one in node["depends_on"]["nodes"]
            },
            severity=node["config"]["severity"].lower(),
            fail_calc=node["config"]["fail_calc"],
            warn_if=node["config"]["warn_if"],
            error_if=node["config"]["error_if"],
            limit=1 if "max(" in node["config"]["fail_calc"] else node["config"]["limit"],
        )
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
    }


class Judge:
    """Runs data tests over given rows; relations need only exist, with their columns.

    Each relation has one temporary table with the rows of all cases, and the statement binds the
    number of its case, so its text is translated once per data test.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._columns: dict[str, dict[str, str]] = {}
        for database in ("analytics", "raw"):
            for row in warehouse.rows(
                f"""
                select table_schema, table_name, column_name, data_type, numeric_precision,
                    numeric_scale
                from {database}.information_schema.columns
                """
            ):
                relation = f"{database}.{row['table_schema']}.{row['table_name']}".lower()
                columns = self._columns.setdefault(relation, {})
                columns[row["column_name"].lower()] = _type(row)

    def statuses(self, test: DataTest, cases: Mapping[str, Rows]) -> dict[str, str]:
        """Maps each case to pass, warn or fail, as dbt reports it.

        Raises:
            StatementFailed: the engine refused the test's SQL.
            ValueError: rows of a relation or column that the test cannot read.
        """
        if unread := {name for rows in cases.values() for name in rows} - set(test.relations):
            raise ValueError(f"{test.name} does not read {', '.join(sorted(unread))}")
        for name, relation in test.relations.items():
            self._fill(name, relation, [rows.get(name, ()) for rows in cases.values()])
        sql = self.statement(test)
        found = {}
        for number, case in enumerate(cases):
            (row,) = self._warehouse.rows(sql, *[number] * len(test.relations))
            should_fail = test.severity == "error" and row["should_error"]
            found[case] = "fail" if should_fail else "warn" if row["should_warn"] else "pass"
        return found

    @staticmethod
    def statement(test: DataTest) -> str:
        """The query that dbt sends for a test, over the rows of the bound case."""
        sql = CLOCK.sub(f"'{NOW}'::timestamp_ntz", test.sql)
        if other := OTHER_CLOCKS.search(sql):
            raise ValueError(f"{test.name} reads {other[0]}; every test takes sysdate()")
        for name, relation in test.relations.items():
            sql = re.sub(rf"\b{re.escape(relation)}\b(?!\.)", f"rows_of_{name}", sql)
        tables = ", ".join(
            f"rows_of_{name} as (select * exclude case_number from cases_of_{name}"
            " where case_number = ?)"
            for name in test.relations
        )
        return f"""
            with {tables}
            select
                {test.fail_calc} as failures,
                {test.fail_calc} {test.warn_if} as should_warn,
                {test.fail_calc} {test.error_if} as should_error
            from (
                {sql}
                limit {test.limit}
            ) as dbt_internal_test
        """

    def _fill(self, name: str, relation: str, cases: Sequence[Sequence[Row]]) -> None:
        columns = self._columns[relation]
        rows = [
            {"case_number": number, **row} for number, given in enumerate(cases) for row in given
        ]
        columns = {"case_number": "number(38, 0)", **columns}
        if unknown := {column for row in rows for column in row} - set(columns):
            raise ValueError(f"{relation} has no column {', '.join(sorted(unknown))}")
        listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        values = ", ".join(f"value:{column}::{kind}" for column, kind in columns.items())
        self._warehouse.execute(f"create or replace temporary table cases_of_{name} ({listed})")
        self._warehouse.execute(
            f"insert into cases_of_{name} select {values}"
            " from table(flatten(input => parse_json(?)))",
            json.dumps(rows, default=str),
        )


def _type(column: Mapping[str, Any]) -> str:
    kind: str = column["data_type"]
    if kind == "NUMBER":
        return f"number({column['numeric_precision']}, {column['numeric_scale']})"
    return TYPES.get(kind, kind.lower())
