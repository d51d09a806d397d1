"""Micro-partitions that a statement touches on Snowflake, counted and not estimated.

A table is a list of partitions with the minimum and maximum of each column, filled in order of
arrival. A statement touches a partition unless one of its conditions rules out all rows in it. The
assumptions, which err toward more partitions where nothing is documented:

* A partition holds 16 MB compressed, within the documented 50 to 500 MB uncompressed
  (docs.snowflake.com/en/user-guide/tables-clustering-micropartitions).
* Rows are written in order of arrival; small partitions are merged into full ones.
* A condition that compares a column with a literal skips partitions; one with a subquery or a
  function of a column skips none (same page, *Query Pruning*). A cast of a time to TIMESTAMP_NTZ,
  arithmetic on literals, and bound values count as literals. A join may skip partitions at run
  time; which ones is not documented, so none are skipped here.
* A condition on a column of a view, subquery or CTE applies to the table below it if the column is
  passed through unchanged, with no LIMIT, window or aggregate without that column in between.
* Minimum, maximum and row count of a whole table are metadata. LIMIT without conditions
  reads one partition (both: Zimmerer et al., "Pruning in Snowflake", arxiv.org/abs/2504.11540).
* A partition in which a column is always NULL has None as its minimum and maximum. No comparison
  holds there, nor does IS NOT NULL: null counts are also metadata (same paper).
* UPDATE, DELETE and MERGE rewrite each partition with an affected row: at most those that they do
  not skip, and at most one per changed row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from math import ceil
from typing import Any

import sqlglot
from sqlglot import exp

PARTITION_BYTES = 16_000_000
"""Compressed."""

Range = tuple[Any, Any]
"""Minimum and maximum."""
Condition = exp.Expr


@dataclass(frozen=True)
class Partition:
    """Columns not listed may have any value."""

    ranges: Mapping[str, Range]


@dataclass(frozen=True)
class Table:
    """Partitions in order of arrival."""

    name: str
    partitions: tuple[Partition, ...]


@dataclass(frozen=True)
class Touched:
    """Partition numbers by table: read at least once, and rewritten."""

    scanned: Mapping[str, frozenset[int]] = field(default_factory=dict)
    rewritten: Mapping[str, int] = field(default_factory=dict)

    def share(self, table: Table) -> float:
        """Share of the table's partitions that were read."""
        return len(self.scanned.get(table.name, ())) / len(table.partitions)


def in_order_of_arrival(
    name: str,
    *,
    rows: int,
    bytes_per_row: float,
    first: datetime,
    last: datetime,
    follow: Mapping[str, timedelta] | None = None,
    days: Mapping[str, timedelta] | None = None,
    constant: Mapping[str, object] | None = None,
) -> Table:
    """A table that grew evenly from ``first`` to ``last``, in naive UTC.

    ``follow`` are timestamps and ``days`` dates that follow the arrival, each with how far behind
    it the oldest value in a partition may be. ``constant`` columns have one value everywhere. All
    other columns hold all their values in every partition.

    ``bytes_per_row`` is compressed.
    """
    count = max(1, ceil(rows * bytes_per_row / PARTITION_BYTES))
    step = (last - first) / count

    def partition(number: int) -> Partition:
        begin, end = first + number * step, first + (number + 1) * step
        ranges: dict[str, Range] = {one: (it, it) for one, it in (constant or {}).items()}
        ranges |= {one: (begin - lag, end) for one, lag in (follow or {}).items()}
        ranges |= {one: ((begin - lag).date(), end.date()) for one, lag in (days or {}).items()}
        return Partition(ranges)

    return Table(name, tuple(map(partition, range(count))))


class Account:
    """Tables and views by the last part of their names; other relations are small or temporary."""

    def __init__(self, tables: Iterable[Table], views: Mapping[str, str] | None = None) -> None:
        """``views`` maps names to the SELECT behind them, or to the table whose columns they hand
        on."""
        self.tables = {one.name: one for one in tables}
        self._known: dict[object, Touched] = {}
        self._views = {
            name: _parsed(sql) if " " in sql else exp.select("*").from_(sql)
            for name, sql in (views or {}).items()
        }

    def run(self, sql: str, binds: Sequence[object] = (), *, rows: int | None = None) -> Touched:
        """What one statement touches; ``rows`` is the number it changes, if known."""
        key = (sql, repr(binds), rows)
        if key not in self._known:
            self._known[key] = self._run(sql, binds, rows)
        return self._known[key]

    def _run(self, sql: str, binds: Sequence[object], rows: int | None) -> Touched:
        statement = _parsed(_with_binds(sql, binds))
        scanned: dict[str, set[int]] = {}
        for table, numbers in self._scans(statement, {}, []):
            scanned.setdefault(table, set()).update(numbers)
        rewritten = {}
        target = _target(statement)
        if target in self.tables and isinstance(statement, exp.Update | exp.Delete | exp.Merge):
            found = self._found(target, _conditions_on(statement, statement.this.alias_or_name))
            scanned.setdefault(target, set()).update(found)
            rewritten[target] = len(found) if rows is None else min(len(found), rows)
        return Touched({name: frozenset(one) for name, one in scanned.items()}, rewritten)

    def run_all(self, statements: Iterable[tuple[str, Sequence[object]]]) -> Touched:
        """What statements touch together; a partition read twice counts once, but one written twice
        counts twice."""
        scanned: dict[str, set[int]] = {}
        rewritten: dict[str, int] = {}
        for sql, binds in statements:
            one = self.run(sql, binds)
            for table, numbers in one.scanned.items():
                scanned.setdefault(table, set()).update(numbers)
            for table, count in one.rewritten.items():
                rewritten[table] = rewritten.get(table, 0) + count
        return Touched({name: frozenset(one) for name, one in scanned.items()}, rewritten)

    def _scans(
        self,
        node: exp.Expr,
        outer: Mapping[str, exp.Expr],
        wanted: list[Condition],
    ) -> Iterator[tuple[str, set[int]]]:
        """Every read of a table in a statement or query, with its partitions.

        ``outer`` are the CTEs that can be seen, and ``wanted`` conditions that the reader of this
        query has on its columns.
        """
        named = {**outer, **{cte.alias: cte.this for cte in _ctes(node)}}
        if isinstance(node, exp.Subquery):
            yield from self._scans(node.this, named, wanted)
        elif isinstance(node, exp.SetOperation):
            yield from self._scans(node.left, named, wanted)
            yield from self._scans(node.right, named, wanted)
        elif isinstance(node, exp.Select):
            for source in _sources(node):
                conditions = _conditions_on(node, source.alias_or_name)
                conditions += _handed_down(wanted, node, source)
                yield from self._reads(source, named, conditions, node)
            for inner in _inner_queries(node):
                yield from self._scans(inner, named, [])
        else:
            for query in _inner_queries(node):
                yield from self._scans(query, named, [])
            if isinstance(node, exp.Merge | exp.Update | exp.Delete):
                for source in _further_sources(node):
                    conditions = _conditions_on(node, source.alias_or_name)
                    yield from self._reads(source, named, conditions, None)

    def _reads(
        self,
        source: exp.Expr,
        named: Mapping[str, exp.Expr],
        conditions: list[Condition],
        reader: exp.Select | None,
    ) -> Iterator[tuple[str, set[int]]]:
        if isinstance(source, exp.Subquery):
            yield from self._scans(source.this, named, conditions)
            return
        if not isinstance(source, exp.Table):
            return
        name = source.name.lower()
        if not source.db and name in named:
            # Without itself, so that a CTE may have the name of the table that it reads.
            others = {key: query for key, query in named.items() if key != name}
            yield from self._scans(named[name], others, conditions)
        elif name in self._views:
            yield from self._scans(self._views[name], {}, conditions)
        elif name in self.tables:
            if reader is not None and _is_metadata(reader):
                return
            found = self._found(name, conditions)
            is_peek = reader is not None and not conditions and _takes_any_rows(reader)
            yield name, set(sorted(found)[:1]) if is_peek else found

    def _found(self, table: str, conditions: list[Condition]) -> set[int]:
        tests = [_test(one) for one in conditions]
        return {
            number
            for number, one in enumerate(self.tables[table].partitions)
            if all(test(one.ranges) for test in tests)
        }


def credits_awake(
    busy: Iterable[tuple[float, float]],
    *,
    auto_suspend_seconds: float = 60,
    credits_an_hour: float = 1,
) -> float:
    """Credits of a warehouse that runs statements in these spans, (start, end) in seconds.

    It stays awake until the suspension, and a resume is billed for at least 60 seconds
    (docs.snowflake.com/en/user-guide/cost-understanding-compute). X-Small costs 1 credit an hour.
    """
    awake: list[list[float]] = []
    for start, end in sorted(busy):
        if awake and start <= awake[-1][1]:
            awake[-1][1] = max(awake[-1][1], end + auto_suspend_seconds)
        else:
            awake.append([start, end + auto_suspend_seconds])
    return sum(max(60.0, end - start) for start, end in awake) / 3600 * credits_an_hour


# Statements -----------------------------------------------------------------------------------


@cache
def _parsed(sql: str) -> exp.Expr:
    """Cached; do not modify."""
    return sqlglot.parse_one(sql, read="snowflake")


def _with_binds(sql: str, binds: Sequence[object]) -> str:
    """In text order, which differs from that of the parsed statement."""
    values = iter(binds)
    parts, at = [], 0
    for token in sqlglot.tokenize(sql, read="snowflake") if binds else ():
        if token.token_type.name == "PLACEHOLDER":
            value = next(values, None)
            is_text = isinstance(value, str | datetime | date)
            literal = exp.Literal.string(str(value)) if is_text else exp.convert(value)
            parts += [sql[at : token.start], literal.sql("snowflake")]
            at = token.end + 1
    return "".join([*parts, sql[at:]])


def _target(statement: exp.Expr) -> str:
    table = statement.this
    return table.name.lower() if isinstance(table, exp.Table) else ""


def _ctes(node: exp.Expr) -> list[exp.CTE]:
    clause = node.args.get("with_") or node.args.get("with")
    return list(clause.expressions) if clause else []


def _sources(query: exp.Select) -> list[exp.Expr]:
    first = query.args.get("from_") or query.args.get("from")
    joins = [one.this for one in query.args.get("joins") or ()]
    return [*([first.this] if first else []), *joins]


def _further_sources(statement: exp.Expr) -> list[exp.Expr]:
    """What an UPDATE or DELETE joins, and what a MERGE uses."""
    using = statement.args.get("using")
    first = statement.args.get("from_") or statement.args.get("from")
    found = [*(using if isinstance(using, list) else [using]), first.this if first else None]
    return [one for one in found if isinstance(one, exp.Expr)]


def _inner_queries(node: exp.Expr) -> list[exp.Expr]:
    """The nearest queries in expressions of a query, or in a statement; not in its FROM."""
    found: list[exp.Expr] = []

    def walk(one: exp.Expr) -> None:
        for key, value in one.args.items():
            if one is node and key in {"with", "with_", "from", "from_", "using"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if not isinstance(child, exp.Expr):
                    continue
                if isinstance(child, exp.Query):
                    found.append(child)
                elif one is node and isinstance(child, exp.Join):
                    walk_join(child)
                else:
                    walk(child)

    def walk_join(join: exp.Join) -> None:
        if isinstance(on := join.args.get("on"), exp.Expr):
            walk(on)

    walk(node)
    return found


def _conditions_on(node: exp.Expr, source: str) -> list[Condition]:
    """Conjuncts of WHERE and of the inner joins' ON that are about one source alone."""
    clauses = [one.this for one in (node.args.get("where"),) if one is not None]
    clauses += [
        join.args["on"]
        for join in node.args.get("joins") or ()
        if join.args.get("on") and (join.side or "").upper() != "LEFT"
    ]
    clauses += [node.args["on"]] if isinstance(node, exp.Merge) else []
    if isinstance(node, exp.Select):
        is_alone = len(_sources(node)) == 1
    else:
        # The target's columns need no alias where the others carry theirs.
        is_alone = source == node.this.alias_or_name
    return [
        one
        for clause in clauses
        for one in _conjuncts(clause)
        if all(
            column.table == source or (not column.table and is_alone)
            for column in one.find_all(exp.Column)
        )
        and not list(one.find_all(exp.Query))
    ]


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(condition, exp.Paren):
        yield from _conjuncts(condition.this)
    elif isinstance(condition, exp.And):
        yield from _conjuncts(condition.left)
        yield from _conjuncts(condition.right)
    else:
        yield condition


def _handed_down(
    wanted: Iterable[Condition], query: exp.Select, source: exp.Expr
) -> list[Condition]:
    """Conditions on the query's columns, as conditions on those of one of its sources."""
    if query.args.get("limit") or query.args.get("qualify"):
        return []
    group = query.args.get("group")
    grouped = {one.sql() for one in group.expressions} if group else None
    is_alone = len(_sources(query)) == 1
    columns: dict[str, exp.Expr] = {}
    has_star = False
    for projection in query.expressions:
        inner = projection.unalias()
        if isinstance(inner, exp.Star) or (
            isinstance(inner, exp.Column)
            and isinstance(inner.this, exp.Star)
            and inner.table == source.alias_or_name
        ):
            has_star = has_star or is_alone or isinstance(inner, exp.Column)
        else:
            columns[projection.alias_or_name.lower()] = inner
    has_window = bool(query.find(exp.Window))
    found = []
    for condition in wanted:
        names = {one.name.lower() for one in condition.find_all(exp.Column)}
        below = {name: _same_column(columns[name]) for name in names if name in columns}
        below |= {name: name for name in names if name not in columns and has_star}
        mine = all(
            name in below
            and below[name]
            and (
                name not in columns or is_alone or _table_of(columns[name]) == source.alias_or_name
            )
            and (grouped is None or columns[name].sql() in grouped)
            for name in names
        )
        if mine and not has_window:
            copy = condition.copy()
            for column in list(copy.find_all(exp.Column)):
                renamed = exp.column(below[column.name.lower()] or "")
                if column is copy:
                    copy = renamed
                else:
                    column.replace(renamed)
            found.append(copy)
    return found


def _same_column(expression: exp.Expr) -> str | None:
    """The column that an expression passes through unchanged."""
    if isinstance(expression, exp.Cast) and expression.to.is_type("timestamp_ntz", "timestampntz"):
        expression = expression.this
    return expression.name.lower() if isinstance(expression, exp.Column) else None


def _table_of(expression: exp.Expr) -> str:
    column = expression.find(exp.Column)
    return column.table if column else ""


def _is_metadata(query: exp.Select) -> bool:
    """Whether a query reads only minimum, maximum and row count of a whole table."""
    if query.args.get("where") or query.args.get("group") or query.args.get("joins"):
        return False
    totals = list(query.find_all(exp.AggFunc))
    return bool(totals) and all(
        isinstance(one, exp.Min | exp.Max | exp.Count)
        and isinstance(one.this, exp.Column | exp.Star | exp.Literal)
        for one in totals
    )


def _takes_any_rows(query: exp.Select) -> bool:
    """Whether a LIMIT accepts any rows."""
    others = ("where", "group", "order", "joins", "qualify", "distinct")
    return bool(query.args.get("limit")) and not any(query.args.get(one) for one in others)


# Conditions -----------------------------------------------------------------------------------

Test = Callable[[Mapping[str, Range]], bool]
"""Whether a partition with these ranges may contain a matching row."""


def _test(condition: exp.Expr) -> Test:
    if isinstance(condition, exp.Paren):
        return _test(condition.this)
    if isinstance(condition, exp.And | exp.Or):
        left, right = _test(condition.left), _test(condition.right)
        if isinstance(condition, exp.And):
            return lambda ranges: left(ranges) and right(ranges)
        return lambda ranges: left(ranges) or right(ranges)
    if isinstance(condition, exp.Boolean):
        value = bool(condition.this)
        return lambda _: value
    if isinstance(condition, exp.Between):
        return _within(condition.this, condition.args["low"], condition.args["high"])
    if isinstance(condition, exp.In) and condition.expressions:
        tests = [_within(condition.this, one, one) for one in condition.expressions]
        return lambda ranges: any(test(ranges) for test in tests)
    if isinstance(condition, exp.Not) and isinstance(condition.this, exp.Is):
        column = _same_column(condition.this.this) or ""
        return lambda ranges: column not in ranges or ranges[column][0] is not None
    if isinstance(condition, exp.EQ):
        sides = (condition.left, condition.right)
        column, other = sides if isinstance(sides[0], exp.Column | exp.Cast) else sides[::-1]
        return _within(column, other, other)
    if isinstance(condition, exp.GT | exp.GTE | exp.LT | exp.LTE):
        is_less = isinstance(condition, exp.LT | exp.LTE)
        is_strict = isinstance(condition, exp.LT | exp.GT)
        column, other = condition.left, condition.right
        if _constant(column) is not None:
            column, other, is_less = other, column, not is_less
        return _beyond(column, _constant(other), is_less=is_less, is_strict=is_strict)
    return lambda _: True


def _within(column: exp.Expr, low: exp.Expr, high: exp.Expr) -> Test:
    least, greatest = _constant(low), _constant(high)
    at_least = _beyond(column, least, is_less=False, is_strict=False)
    at_most = _beyond(column, greatest, is_less=True, is_strict=False)
    return lambda ranges: at_least(ranges) and at_most(ranges)


def _beyond(column: exp.Expr, bound: object, *, is_less: bool, is_strict: bool) -> Test:
    name = _same_column(column)
    if name is None or bound is None:
        return lambda _: True

    def test(ranges: Mapping[str, Range]) -> bool:
        if name not in ranges:
            return True
        if ranges[name][0] is None:
            return False
        value, limit = _comparable(ranges[name][0 if is_less else 1], bound)
        if value is None:
            return True
        if is_less:
            return value < limit if is_strict else value <= limit
        return value > limit if is_strict else value >= limit

    return test


def _comparable(value: Any, bound: Any) -> tuple[Any, Any]:
    """Both as one type, or None twice."""
    if isinstance(value, datetime | date) and isinstance(bound, str):
        try:
            bound = datetime.fromisoformat(bound)
        except ValueError:
            return None, None
    if isinstance(value, datetime) != isinstance(bound, datetime) and isinstance(bound, date):
        at = [
            one if isinstance(one, datetime) else datetime(one.year, one.month, one.day)
            for one in (value, bound)
        ]
        value, bound = at
    if isinstance(value, datetime) and isinstance(bound, datetime):
        return value.replace(tzinfo=None), bound.replace(tzinfo=None)
    is_number = isinstance(value, int | float) and isinstance(bound, int | float)
    return (value, bound) if is_number or type(value) is type(bound) else (None, None)


def _constant(expression: exp.Expr) -> Any:
    """The value of a literal, a cast of one, or DATEADD on one; None for anything else."""
    if isinstance(expression, exp.Paren):
        return _constant(expression.this)
    if isinstance(expression, exp.Literal):
        return expression.this if expression.is_string else float(expression.this)
    if isinstance(expression, exp.Neg):
        value = _constant(expression.this)
        return -value if isinstance(value, float) else None
    if isinstance(expression, exp.Cast):
        value = _constant(expression.this)
        if isinstance(value, str) and expression.to.is_type("date"):
            return date.fromisoformat(value)
        if isinstance(value, str) and expression.to.is_type(*exp.DataType.TEMPORAL_TYPES):
            return datetime.fromisoformat(value).replace(tzinfo=None)
        return value
    if isinstance(expression, exp.DateAdd | exp.TimestampAdd | exp.DatetimeAdd):
        value, amount = _constant(expression.this), _constant(expression.expression)
        unit = str(expression.args.get("unit") or "day").lower().rstrip("s") + "s"
        if isinstance(value, datetime) and isinstance(amount, float):
            return value + timedelta(**{unit: amount})
    return None
