"""What Snowflake would refuse in a statement that the embedded warehouse runs without a word, and
what it would read otherwise."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest
import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import ParseError

from sync import warehouse
from sync.operations.doctor.pins import PINS
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.support.untraced import untraced

FUNCTIONS = frozenset({"SYSDATE", "SYSTEM$LAST_CHANGE_COMMIT_TIME", "UUID_STRING"})
"""Functions that exist in Snowflake and that the parser has no name for."""
WORDS = frozenset(
    {
        *("ALL", "AND", "AS", "BETWEEN", "BY", "CAST", "CHECK", "ELSE", "EXCLUDE", "EXISTS"),
        *("FROM", "GROUP", "IN", "JOIN", "KEY", "NOT", "ON", "OR", "OVER", "SELECT", "SET"),
        *("TABLE", "THEN", "UNION", "USING", "VALUES", "WHEN", "WHERE", "WITH"),
    }
)
"""Words of the language that may stand before a parenthesis."""
TYPES = frozenset({"BINARY", "NUMBER", "TIMESTAMP_NTZ", "VARCHAR"})
HARMLESS = {
    "COUNT": "0 over nothing",
    "MAX": "ignores NULL, and is NULL over nothing",
    "MIN": "as MAX",
    "NULLIF": "NULL when equal",
    "RANK": "as ROW_NUMBER",
    "ROW_NUMBER": "the orders it depends on are pinned under ORDER BY",
    "SYSTEM$LAST_CHANGE_COMMIT_TIME": "asks about a table; the doctor does",
}
"""Functions that need no pin, and why."""
OFFSET_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*([+-]\d\d:?\d\d|Z)")
PRODUCT = tuple(str(PROJECT_ROOT / folder) for folder in ("sync", "orchestration"))


@contextmanager
def checked_statements() -> Iterator[list[str]]:
    """A list of what is wrong with statements that the product sends from this process meanwhile.

    Statements of the tests themselves are not looked at.
    """
    problems: list[str] = []
    send = Warehouse._run  # pyright: ignore[reportPrivateUsage]

    def run(self: Warehouse, sql: str, binds: tuple[object, ...]) -> Any:
        sender = _sender(sys._getframe(1))  # pyright: ignore[reportPrivateUsage]
        if sender.startswith(PRODUCT):
            found = (*problems_of(sql), *problems_of_binds(sql, binds))
            problems.extend(f"{sender}: {problem}" for problem in found)
        return send(self, sql, binds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Warehouse, "_run", run)
        yield problems


def _sender(frame: FrameType) -> str:
    """The file and function that asked the only module that sends statements."""
    while frame.f_code.co_filename == warehouse.__file__ and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}"


@cache
@untraced
def problems_of(sql: str) -> tuple[str, ...]:
    """What is wrong with one statement for Snowflake; empty when nothing is known to be.

    Snowflake takes a correlated subquery in a WHERE clause only, and gives up on most whose outer
    columns are compared otherwise than by ``=`` ("Unsupported subquery type cannot be evaluated").
    """
    try:
        # What is explained is what Snowflake has to take.
        statements = sqlglot.parse(sql.removeprefix("explain "), dialect="snowflake")
    except ParseError as error:
        return (f"does not parse: {error}",)
    if len(statements) != 1 or statements[0] is None:
        return ("one statement at a time",)
    (statement,) = statements
    assert statement is not None
    problems = [f"not understood: {statement.name}"] if isinstance(statement, exp.Command) else []
    problems += [
        f"no function of Snowflake: {one.name}"
        for one in statement.find_all(exp.Anonymous)
        if one.name.upper() not in FUNCTIONS
    ]
    problems += [f"no pin for {name}" for name in sorted(unpinned_functions(sql))]
    for query in statement.find_all(exp.Select):
        problems += _subquery_problems(query)
    problems += _unguarded_names(statement)
    return tuple(problems)


def unpinned_functions(sql: str) -> frozenset[str]:
    """Functions of a statement that two engines may read differently, and that have no pin."""
    return _functions(sql) - WORDS - TYPES - HARMLESS.keys() - _pinned()


@cache
def _pinned() -> frozenset[str]:
    return frozenset().union(*(_functions(pin.expression) for pin in PINS))


def _functions(sql: str) -> frozenset[str]:
    tokens = sqlglot.Dialect.get_or_raise("snowflake").tokenize(sql)
    return frozenset(
        name.text.upper()
        for (before, name), (_, following) in pairwise(pairwise([tokens[0], *tokens]))
        if following.token_type is TokenType.L_PAREN
        and name.text[:1].isalpha()
        and name.token_type is not TokenType.STRING
        # A table with a list of its columns
        and before.token_type not in (TokenType.DOT, TokenType.INTO, TokenType.TABLE)
    )


def problems_of_binds(sql: str, binds: tuple[object, ...]) -> list[str]:
    """Times with an offset, which a cast to TIMESTAMP_NTZ drops: what a clock showed would stay."""
    if "timestamp_ntz" not in sql:
        return []
    texts = [bind for bind in binds if isinstance(bind, str)]
    for text in list(texts):
        with suppress(ValueError, TypeError, AttributeError):
            texts += [value for row in json.loads(text) for value in row.values()]
    return [
        f"a bound time with an offset: {text}"
        for text in texts
        if isinstance(text, str) and OFFSET_TIME.fullmatch(text)
    ]


def _unguarded_names(statement: exp.Expr) -> Iterator[str]:
    """With a NULL in its name every row gets one and the same id; recorded, and pinned."""
    guarded = {
        test.this.this.sql()
        for test in statement.find_all(exp.Not)
        if isinstance(test.this, exp.Is) and isinstance(test.this.expression, exp.Null)
    }
    for call in statement.find_all(exp.Uuid):
        for column in call.args["name"].find_all(exp.Column) if call.args.get("name") else ():
            if column.sql() not in guarded:
                yield f"{column.sql()} in the name of uuid_string may be NULL"


def _subquery_problems(query: exp.Select) -> Iterator[str]:
    if isinstance(query.parent, exp.Subquery) and isinstance(
        query.parent.parent, exp.From | exp.Join | exp.Lateral
    ):
        return
    own = {source.alias_or_name for source in _sources(query)}
    outer = [
        column
        for column in query.find_all(exp.Column)
        if column.table and column.table not in own and column.parent_select is query
    ]
    if not outer or not _is_nested(query):
        return
    if query.find_ancestor(exp.Where, exp.Select) is None or isinstance(
        query.find_ancestor(exp.Where, exp.Select), exp.Select
    ):
        yield f"a correlated subquery outside WHERE: {query.sql()}"
    for column in outer:
        if not isinstance(column.parent, exp.EQ) or isinstance(column.parent.parent, exp.Or):
            yield f"{column.sql()} of the outer query is not compared by '=': {query.sql()}"


def _is_nested(query: exp.Select) -> bool:
    return isinstance(query.parent, exp.Exists | exp.Subquery | exp.In)


def _sources(query: exp.Select) -> Iterator[Any]:
    first = query.args.get("from_") or query.args.get("from")
    if first is not None:
        yield first.this
    for join in query.args.get("joins") or ():
        yield join.this
    yield from query.args.get("laterals") or ()
