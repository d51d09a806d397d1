"""What Snowflake would refuse in a statement that the embedded warehouse runs without a word."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

from sync import warehouse
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse

FUNCTIONS = frozenset({"SYSDATE", "SYSTEM$LAST_CHANGE_COMMIT_TIME", "UUID_STRING"})
"""Functions that exist in Snowflake and that the parser has no name for."""
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
            problems.extend(f"{sender}: {problem}" for problem in problems_of(sql))
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
def problems_of(sql: str) -> tuple[str, ...]:
    """What is wrong with one statement for Snowflake; empty when nothing is known to be.

    Snowflake takes a correlated subquery in a WHERE clause only, and gives up on most whose outer
    columns are compared otherwise than by ``=`` ("Unsupported subquery type cannot be evaluated").
    """
    try:
        statements = sqlglot.parse(sql, dialect="snowflake")
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
    for query in statement.find_all(exp.Select):
        problems += _subquery_problems(query)
    return tuple(problems)


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
