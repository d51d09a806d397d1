"""What Snowflake refuses, or reads differently, in a statement that the embedded warehouse runs.

A table of rules, each with its documentation and a statement that breaks it. They apply to
everything that is sent: the product's statements, compiled models, what dbt's adapter makes of
them, and ``deploy/snowflake``. Three independently written parsers must read each statement;
exceptions that Snowflake accepts are listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import polyglot_sql
import sqlglot
import sqloxide
from sqlglot import exp
from sqlglot.errors import ParseError

DOCS = "https://docs.snowflake.com/en/"
FUNCTIONS = frozenset({"SYSDATE", "SYSTEM$LAST_CHANGE_COMMIT_TIME", "UUID_STRING"})
"""Functions that exist in Snowflake but are unknown to sqlglot."""
SESSION_PARAMETERS = frozenset(
    {
        *("AUTOCOMMIT", "DATE_INPUT_FORMAT", "LOCK_TIMEOUT", "QUERY_TAG"),
        *("QUOTED_IDENTIFIERS_IGNORE_CASE", "ROWS_PER_RESULTSET"),
        *("CLIENT_PREFETCH_THREADS", "CLIENT_SESSION_KEEP_ALIVE"),
        *("STATEMENT_QUEUED_TIMEOUT_IN_SECONDS", "STATEMENT_TIMEOUT_IN_SECONDS"),
        *("TIMESTAMP_INPUT_FORMAT", "TIMESTAMP_TYPE_MAPPING", "TIMEZONE"),
    }
)
"""The parameters in use of https://docs.snowflake.com/en/sql-reference/parameters; look up any
other there before adding it, since Snowflake refuses or ignores unknown ones."""
RESERVED = frozenset(
    {
        *("all", "alter", "and", "any", "as", "between", "by", "check", "column", "connect"),
        *("constraint", "create", "cross", "current", "current_date", "current_time"),
        *("current_timestamp", "current_user", "delete", "distinct", "drop", "else", "exists"),
        *("false", "following", "for", "from", "full", "grant", "group", "having", "ilike"),
        *("in", "increment", "inner", "insert", "intersect", "into", "is", "join", "lateral"),
        *("left", "like", "localtime", "localtimestamp", "minus", "natural", "not", "null"),
        *("of", "on", "or", "order", "qualify", "regexp", "revoke", "right", "rlike", "row"),
        *("rows", "sample", "select", "set", "some", "start", "table", "tablesample", "then"),
        *("to", "trigger", "true", "try_cast", "union", "unique", "update", "using", "values"),
        *("when", "whenever", "where", "with"),
    }
)
"""As unquoted names: reserved by ANSI or Snowflake, or not allowed as a column or an alias."""


@dataclass(frozen=True)
class Rule:
    """A rule, and a statement that breaks it."""

    name: str
    source: str
    broken: Callable[[exp.Expr], Iterable[str]]
    """The parts of a statement that break it."""
    example: str


def _unknown_functions(statement: exp.Expr) -> Iterator[str]:
    yield from (
        one.name for one in statement.find_all(exp.Anonymous) if one.name.upper() not in FUNCTIONS
    )


def _correlated_elsewhere(statement: exp.Expr) -> Iterator[str]:
    for query in statement.find_all(exp.Select):
        above = query.find_ancestor(exp.Where, exp.Select)
        if _outer_columns(query) and not isinstance(above, exp.Where):
            yield query.sql()


def _correlated_otherwise(statement: exp.Expr) -> Iterator[str]:
    for query in statement.find_all(exp.Select):
        for column in _outer_columns(query):
            if not isinstance(column.parent, exp.EQ) or isinstance(column.parent.parent, exp.Or):
                yield f"{column.sql()} in {query.sql()}"


def _outer_columns(query: exp.Select) -> list[exp.Column]:
    """Columns of the outer query that a nested query refers to."""
    if not isinstance(query.parent, exp.Exists | exp.Subquery | exp.In) or (
        isinstance(query.parent, exp.Subquery)
        and isinstance(query.parent.parent, exp.From | exp.Join | exp.Lateral)
    ):
        return []
    own = {source.alias_or_name for source in _sources(query)}
    return [
        column
        for column in query.find_all(exp.Column)
        if column.table and column.table not in own and column.parent_select is query
    ]


def _sources(query: exp.Select) -> Iterator[Any]:
    first = query.args.get("from_") or query.args.get("from")
    if first is not None:
        yield first.this
    for join in query.args.get("joins") or ():
        yield join.this
    yield from query.args.get("laterals") or ()


def _unguarded_names(statement: exp.Expr) -> Iterator[str]:
    guarded = {
        test.this.this.sql()
        for test in statement.find_all(exp.Not)
        if isinstance(test.this, exp.Is) and isinstance(test.this.expression, exp.Null)
    }
    for call in statement.find_all(exp.Uuid):
        for column in call.args["name"].find_all(exp.Column) if call.args.get("name") else ():
            if column.sql() not in guarded:
                yield column.sql()


def _reserved_names(statement: exp.Expr) -> Iterator[str]:
    for name in statement.find_all(exp.Identifier):
        if not name.quoted and name.this.lower() in RESERVED:
            yield name.this


def _uncast_variants(statement: exp.Expr) -> Iterator[str]:
    values = (exp.JSONExtract, exp.GetExtract, exp.Bracket)
    decided = (exp.Coalesce, exp.Nullif, exp.Nvl2, exp.DecodeCase, exp.EqualNull, exp.Is)
    for value in statement.find_all(*values):
        around = value.parent
        while isinstance(around, exp.Paren):
            around = around.parent
        # A path within a path is a single value.
        if isinstance(around, (*decided, exp.Binary, exp.Predicate)) and not isinstance(
            around, values
        ):
            yield around.sql()


def _tried_casts(statement: exp.Expr) -> Iterator[str]:
    for cast in statement.find_all(exp.TryCast):
        inner = cast.this.unnest()
        is_text = not isinstance(inner, exp.Cast) or inner.to.is_type(*exp.DataType.TEXT_TYPES)
        if isinstance(inner, exp.JSONExtract) or not is_text:
            yield cast.sql()


def _open_timestamps(statement: exp.Expr) -> Iterator[str]:
    for kind in statement.find_all(exp.DataType):
        if kind.this is exp.DType.TIMESTAMP and kind.parent is not None:
            yield kind.parent.sql()


def _session_times(statement: exp.Expr) -> Iterator[str]:
    kinds = (
        *(exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime),
        *(exp.Localtimestamp, exp.Localtime),
    )
    yield from (one.sql() for one in statement.find_all(*kinds) if not one.args.get("sysdate"))


def _offsets(statement: exp.Expr) -> Iterator[str]:
    for cast in statement.find_all(exp.Cast):
        text = cast.this.name if isinstance(cast.this, exp.Literal) else ""
        if cast.to.this is exp.DType.TIMESTAMPNTZ and re.search(r":\d\d.*([+-]\d\d|Z)", text):
            yield cast.sql()


def _qualified_targets(statement: exp.Expr) -> Iterator[str]:
    for update in statement.find_all(exp.Update):
        for one in update.expressions:
            if isinstance(one.this, exp.Column) and one.this.table:
                yield one.sql()


def _of_enterprise(statement: exp.Expr) -> Iterator[str]:
    if not isinstance(statement, exp.Create | exp.Alter | exp.Command):
        return
    text = statement.sql(dialect="snowflake", comments=False).lower()
    days = re.search(r"data_retention_time_in_days\s*=\s*(\d+)", text)
    if days and int(days[1]) > 1:
        yield days[0]
    clusters = re.search(r"max_cluster_count\s*=\s*(\d+)", text)
    if clusters and int(clusters[1]) > 1:
        yield clusters[0]
    features = r"create (or replace )?(materialized view|masking policy|row access policy)"
    features += r"|search optimization|enable_query_acceleration\s*=\s*true"
    if feature := re.search(features, text):
        yield feature[0]


def _unknown_parameters(statement: exp.Expr) -> Iterator[str]:
    if isinstance(statement, exp.Alter | exp.Command):
        said = statement.sql(dialect="snowflake")
        if re.match(r"(?i)alter (session|user \w+) set ", said):
            names = re.findall(r"(\w+)\s*=", said)
            yield from (one for one in names if one.upper() not in SESSION_PARAMETERS)


RULES = (
    Rule(
        "a function is one of Snowflake's",
        f"{DOCS}sql-reference/functions-all",
        _unknown_functions,
        "select json_extract_string(line, '$.a') from t",
    ),
    Rule(
        "a correlated subquery stands in WHERE",
        f"{DOCS}user-guide/querying-subqueries",
        _correlated_elsewhere,
        "select (select max(b.x) from b where b.id = a.id) as newest from a",
    ),
    Rule(
        "a column of the outer query is compared by '='",
        f"{DOCS}user-guide/querying-subqueries",
        _correlated_otherwise,
        "select * from a where exists (select 1 from b where b.id = a.id and b.x < a.x)",
    ),
    Rule(
        "no part of an id's name is NULL: the id would be one for all",
        f"{DOCS}sql-reference/functions/uuid_string",
        _unguarded_names,
        "select uuid_string(?, 'a|' || seen.k) from seen",
    ),
    Rule(
        "a reserved word is no name",
        f"{DOCS}sql-reference/reserved-keywords",
        _reserved_names,
        "select 1 as increment",
    ),
    Rule(
        "a value in a VARIANT is cast before it is compared: JSON null is not NULL",
        f"{DOCS}user-guide/semistructured-considerations",
        _uncast_variants,
        "select coalesce(v:a, 'x') from t",
    ),
    Rule(
        "TRY_CAST takes text only",
        f"{DOCS}sql-reference/functions/try_cast",
        _tried_casts,
        "select try_cast(v:a as number(38, 0)) from t",
    ),
    Rule(
        "a type says which kind of timestamp: TIMESTAMP_TYPE_MAPPING chooses for the bare one",
        f"{DOCS}sql-reference/parameters#timestamp-type-mapping",
        _open_timestamps,
        "select x::timestamp from t",
    ),
    Rule(
        "the time is sysdate(): the others are TIMESTAMP_LTZ, in the zone of the session",
        f"{DOCS}sql-reference/functions/current_timestamp",
        _session_times,
        "select current_timestamp()",
    ),
    Rule(
        "a cast to TIMESTAMP_NTZ drops the offset of a text",
        f"{DOCS}sql-reference/data-types-datetime#timestamp-ltz-timestamp-ntz-timestamp-tz",
        _offsets,
        "select '2026-03-02T10:00:00+02:00'::timestamp_ntz",
    ),
    Rule(
        "SET names a column without its table",
        f"{DOCS}sql-reference/sql/update",
        _qualified_targets,
        "update t as a set a.x = 1",
    ),
    Rule(
        "Standard edition takes it",
        f"{DOCS}user-guide/intro-editions",
        _of_enterprise,
        "create schema a.b data_retention_time_in_days = 7",
    ),
    Rule(
        "a session parameter is documented",
        f"{DOCS}sql-reference/parameters",
        _unknown_parameters,
        "alter session set client_telemetry_enabled = false",
    ),
)


def _by_sqlglot(sql: str) -> None:
    if isinstance(_statement(sql), exp.Command):
        raise ValueError("kept as plain words")


@lru_cache(maxsize=1)
def _statement(sql: str) -> exp.Expr:
    """The statement of a request, which may have only one: MULTI_STATEMENT_COUNT is 1."""
    statements = sqlglot.parse(sql, dialect="snowflake")
    if len(statements) != 1 or statements[0] is None:
        raise ValueError("one statement at a time")
    return statements[0]


PARSERS: dict[str, Callable[[str], object]] = {
    "sqlglot": _by_sqlglot,
    "sqlparser-rs": lambda sql: sqloxide.parse_sql(sql, "snowflake"),
    "polyglot": lambda sql: polyglot_sql.parse(sql, dialect="snowflake"),
}
OXIDE = frozenset({"sqlparser-rs"})
GLOT = frozenset({"sqlglot"})
POLYGLOT = frozenset({"polyglot"})
ALL = frozenset(PARSERS)


@dataclass(frozen=True)
class Unread:
    """Statements that Snowflake documents but some of the parsers cannot read."""

    parsers: frozenset[str]
    statement: str
    """Pattern of their start, in lower case."""
    page: str
    """Page of Snowflake's documentation, below https://docs.snowflake.com/en/sql-reference/."""


UNREAD = (
    Unread(OXIDE, r"create or replace view .* copy grants as", "sql/create-view"),
    Unread(OXIDE, r"comment on (view|table) \S+ is \$\$", "sql/comment"),
    Unread(OXIDE, r"begin;?$", "sql/begin"),
    Unread(OXIDE, r"put 'file:", "sql/put"),
    Unread(ALL, r'alter table \S+ alter "\w+" comment \$\$', "sql/alter-table-column"),
    Unread(OXIDE, r"alter table \S+ add column if not exists ", "sql/alter-table"),
    Unread(POLYGLOT, r"create or replace transient table .*\) copy grants as", "sql/create-table"),
    # Names that are keywords for polyglot but not for Snowflake.
    Unread(POLYGLOT, r"select endpoints[.][*], settings[.]", "reserved-keywords"),
    Unread(POLYGLOT, r"alter table \S+ drop column if exists body$", "reserved-keywords"),
    # deploy/snowflake
    Unread(GLOT, r"grant role \w+ to ", "sql/grant-role"),
    Unread(ALL, r"grant (select|select, insert) on (all|future) [\w ]+ in ", "sql/grant-privilege"),
    Unread(OXIDE, r"grant usage, create \w+", "sql/grant-privilege"),
    Unread(GLOT | POLYGLOT, r"grant monitor on resource monitor ", "sql/grant-privilege"),
    Unread(GLOT | OXIDE, r"create role if not exists \w+ comment = ", "sql/create-role"),
    Unread(ALL, r"create schema if not exists \S+ with managed access", "sql/create-schema"),
    Unread(GLOT, r"create user if not exists \w+ type = service", "sql/create-user"),
    Unread(GLOT, r"alter user \w+ set ", "sql/alter-user"),
    Unread(OXIDE, r"create warehouse if not exists \w+ warehouse_size", "sql/create-warehouse"),
    Unread(GLOT | OXIDE, r"alter warehouse \w+ set resource_monitor = ", "sql/alter-warehouse"),
    Unread(GLOT | OXIDE, r"create resource monitor if not exists ", "sql/create-resource-monitor"),
)


@cache
def broken_rules(sql: str) -> tuple[str, ...]:
    """Known problems of a statement on Snowflake."""
    bare = re.sub(r"/\*.*?\*/|--[^\n]*", " ", sql, flags=re.S)
    start = " ".join(bare.split()).lower()
    excused = {name for one in UNREAD if re.match(one.statement, start) for name in one.parsers}
    problems: list[str] = []
    for name, parse in PARSERS.items():
        if name in excused:
            continue
        try:
            parse(sql)
        except Exception as error:
            problems.append(f"{name} cannot read it: {error}")
    with suppress(ValueError, ParseError):
        statement = _statement(sql)
        problems += [
            f"{what}: {rule.name} ({rule.source})"
            for rule in RULES
            for what in rule.broken(statement)
        ]
    return tuple(problems)
