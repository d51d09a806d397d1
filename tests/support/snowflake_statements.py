"""Checks the product's statements in tests: Snowflake's rules, and functions without a pin."""

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
from sqlglot import TokenType

from sync import warehouse
from sync.operations.doctor.pins import PINS
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.support.snowflake_rules import broken_rules
from tests.support.untraced import untraced

WORDS = frozenset(
    {
        *("ALL", "AND", "AS", "BETWEEN", "BY", "CAST", "CHECK", "ELSE", "EXCLUDE", "EXISTS"),
        *("FROM", "GROUP", "IN", "JOIN", "KEY", "NOT", "ON", "OR", "OVER", "SELECT", "SET"),
        *("TABLE", "THEN", "UNION", "USING", "VALUES", "WHEN", "WHERE", "WITH"),
    }
)
"""Keywords that can precede a parenthesis."""
TYPES = frozenset({"BINARY", "NUMBER", "TIMESTAMP_NTZ", "VARCHAR"})
HARMLESS = {
    "COUNT": "0 over nothing",
    "MAX": "ignores NULL, and is NULL over nothing",
    "MIN": "as MAX",
    "NULLIF": "NULL when equal",
    "RANK": "as ROW_NUMBER",
    "ROW_NUMBER": "the orders it depends on are pinned under ORDER BY",
    "GENERATOR": "rows without a value",
}
"""Functions that need no pin, with the reason."""
ABOUT_THE_ACCOUNT = ("CURRENT_", "SYSTEM$")
"""Name prefixes of functions whose value no pin can know."""
OFFSET_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*([+-]\d\d:?\d\d|Z)")
NOT_OURS = ("/doctor/meaning.py:", "/cli/warehouse.py:sql")
"""Senders of pins, which do what our statements may not, and of the operator's SQL."""
PRODUCT = tuple(str(PROJECT_ROOT / folder) for folder in ("sync", "orchestration"))


@contextmanager
def checked_statements() -> Iterator[list[str]]:
    """A list of problems in statements that the product sends from this process during the block.

    Statements of the tests themselves are not checked.
    """
    problems: list[str] = []
    send = Warehouse._run  # pyright: ignore[reportPrivateUsage]

    def run(self: Warehouse, sql: str, binds: tuple[object, ...]) -> Any:
        sender = _sender(sys._getframe(1))  # pyright: ignore[reportPrivateUsage]
        if sender.startswith(PRODUCT) and not any(one in sender for one in NOT_OURS):
            found = (*problems_of(sql), *problems_of_binds(sql, binds))
            problems.extend(f"{sender}: {problem}" for problem in found)
        return send(self, sql, binds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Warehouse, "_run", run)
        yield problems


def _sender(frame: FrameType) -> str:
    """The file and function that called the only module that sends statements."""
    while frame.f_code.co_filename == warehouse.__file__ and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}"


@cache
@untraced
def problems_of(sql: str) -> tuple[str, ...]:
    """Known problems of a statement on Snowflake."""
    if sql.startswith(("show ", "alter session ")):
        return ()  # no parser here has a grammar for them
    unpinned = [
        f"no pin for {name} in sync.operations.doctor.pins"
        for name in sorted(unpinned_functions(sql))
    ]
    # Of an EXPLAIN, check the explained statement.
    return (*broken_rules(sql.removeprefix("explain ")), *unpinned)


def unpinned_functions(sql: str) -> frozenset[str]:
    """Functions in a statement that two engines may read differently, and that have no pin."""
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
        and not name.text.upper().startswith(ABOUT_THE_ACCOUNT)
        and name.token_type is not TokenType.STRING
        # A table with a column list
        and before.token_type not in (TokenType.DOT, TokenType.INTO, TokenType.TABLE)
    )


def problems_of_binds(sql: str, binds: tuple[object, ...]) -> list[str]:
    """Times with an offset, which a cast to TIMESTAMP_NTZ drops: the local time would remain."""
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
