"""dbt's data tests over a few rows of one's own, one statement a case and no dbt run.

The SQL is what dbt compiled, with two things replaced: each relation it reads by literal rows
with the relation's own columns and types, and the clock by ``NOW``, so that thresholds can be
met exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from sync.warehouse import Warehouse

NOW = datetime(2026, 3, 10, 12)
"""What ``sysdate()`` says to a data test here."""
OTHER_CLOCKS = re.compile(r"current_(date|time|timestamp)|localtime|getdate\(", re.IGNORECASE)
CLOCK = re.compile(r"\bsysdate\(\)", re.IGNORECASE)
TYPES = {"TEXT": "varchar"}
"""Types that the information schema calls otherwise than DDL."""
MOST_COPIES = 2_000

Row = Mapping[str, object]
Rows = Mapping[str, Sequence[Row]]
"""Model, seed or source table to its rows; a column that a row leaves out is NULL."""


@dataclass(frozen=True)
class Proof:
    """Rows that show what a data test lets through and what it stops.

    ``base`` passes. Every other case is named by what is different in it, and replaces the rows
    of the relations it mentions.
    """

    base: Rows
    passes: Mapping[str, Rows] = field(default_factory=dict)
    warns: Mapping[str, Rows] = field(default_factory=dict)
    fails: Mapping[str, Rows] = field(default_factory=dict)
    on_nothing: str = "pass"
    """Status while every relation is empty."""

    def cases(self) -> Iterator[tuple[str, Rows, str]]:
        """Name, rows and status of each case."""
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
    """Proof of a test that reads one relation: each case is ``good`` with some columns changed.

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
    """Proof of a key: rows may share every column of it but one; none is NULL."""
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
    """The same row, a number of times."""
    return [row] * count


def ago(**span: float) -> datetime:
    """Before ``NOW``, by the keywords of ``timedelta``."""
    return NOW - timedelta(**span)


@dataclass(frozen=True)
class DataTest:
    """A data test as dbt compiled it, for a target and its vars."""

    name: str
    sql: str
    relations: Mapping[str, str]
    """Name of a model, seed or source table to the relation that stands in ``sql``."""
    severity: str
    fail_calc: str
    warn_if: str
    error_if: str
    limit: int
    """Rows that are read at most; one where the worst row decides, which must come first."""

    @property
    def statuses(self) -> set[str]:
        """What it can say of bad rows; a warning only where it has a threshold of its own."""
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
    """Runs data tests over literal rows; relations need only exist, with their columns."""

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

    def status(self, test: DataTest, rows: Rows) -> str:
        """pass, warn or fail, as dbt says it.

        Raises:
            StatementFailed: the engine refused the test's SQL.
            ValueError: rows of a relation or column that the test cannot read.
        """
        (found,) = self._warehouse.rows(self.statement(test, rows))
        if test.severity == "error" and found["should_error"]:
            return "fail"
        return "warn" if found["should_warn"] else "pass"

    def statement(self, test: DataTest, rows: Rows) -> str:
        """The query that dbt sends for a test, over these rows."""
        if unread := set(rows) - set(test.relations):
            raise ValueError(f"{test.name} does not read {', '.join(sorted(unread))}")
        sql = CLOCK.sub(f"'{NOW}'::timestamp_ntz", test.sql)
        if other := OTHER_CLOCKS.search(sql):
            raise ValueError(f"{test.name} reads {other[0]}; every test takes sysdate()")
        tables: list[str] = []
        for name, relation in test.relations.items():
            literal = self._literal_rows(relation, rows.get(name, ()))
            tables.append(f"rows_of_{name} as ({literal})")
            sql = re.sub(rf"\b{re.escape(relation)}\b(?!\.)", f"rows_of_{name}", sql)
        return f"""
            with {", ".join(tables)}
            select
                {test.fail_calc} as failures,
                {test.fail_calc} {test.warn_if} as should_warn,
                {test.fail_calc} {test.error_if} as should_error
            from (
                {sql}
                limit {test.limit}
            ) as dbt_internal_test
        """

    def _literal_rows(self, relation: str, rows: Sequence[Row]) -> str:
        columns = self._columns[relation]
        if unknown := {name for row in rows for name in row} - set(columns):
            raise ValueError(f"{relation} has no column {', '.join(sorted(unknown))}")
        places = {name: at for at, name in enumerate({name: 0 for row in rows for name in row}, 1)}
        selected = ", ".join(
            f"{f'column{places[name]}' if name in places else 'null'}::{kind} as {name}"
            for name, kind in columns.items()
        )
        if not rows:
            return f"select {selected} where false"
        runs = [(row, len(list(same))) for row, same in groupby(rows)]
        values = ", ".join(
            f"({', '.join([*(_literal(row.get(name)) for name in places), str(count)])})"
            for row, count in runs
        )
        if all(count == 1 for _, count in runs):
            return f"select {selected} from values {values}"
        return f"""
            select {selected} from values {values}
            inner join (
                select row_number() over (order by 1) as number
                from table(generator(rowcount => {MOST_COPIES}))
            ) as numbers
                on numbers.number <= column{len(places) + 1}
        """


def _type(column: Mapping[str, Any]) -> str:
    kind: str = column["data_type"]
    if kind == "NUMBER":
        return f"number({column['numeric_precision']}, {column['numeric_scale']})"
    return TYPES.get(kind, kind.lower())


def _literal(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str() | date():
            return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
        case _:
            raise TypeError(f"no literal of {value!r}")
