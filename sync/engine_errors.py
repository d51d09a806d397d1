"""What an error of the warehouse may say: names and codes, and never a value of a row.

Engines quote the value that they cannot convert, in quotes that the value may hold itself. So
nothing is stripped: the text of an error from running over rows is left out as a whole, but for
the column that it names, if that is a word of the statement, whose values are bound.
"""

from __future__ import annotations

import re

ROW_ERRORS = range(100_000, 200_000)
"""Snowflake's codes of errors that come up while a statement runs over rows; those of compiling,
access, locks, limits and the session are below, those of the connector above."""
CONSTRAINT_STATES = ("22", "23")
"""Classes of SQLSTATE for a bad value and a violated constraint, whatever the code."""
_HEAD = re.compile(r"\d+ \(\w*\): (?:[0-9a-f-]{36}: )?")
_OF_ENGINE = re.compile(r"(?!ParserException|NotImplementedError)\w+(?:Exception|Error): ")
"""How the embedded server begins what DuckDB raised while a statement ran, under one code for all
of it; that of compiling begins with "Binder Error" or "Catalog Error"."""
_COLUMN = (
    re.compile(r"when casting from source column (?P<column>\w+)\Z"),
    re.compile(r"NOT NULL constraint failed: \w+\.(?P<column>\w+)\Z"),
    re.compile(r"\ADML operation to table \S+ failed on column (?P<column>\w+) with error: "),
)


def safe_text(message: str, *, code: int, state: str | None, sql: str) -> str:
    """The engine's text of an error, or what may be said of it where it could quote a row."""
    head = _HEAD.match(message)
    said = message[head.end() :] if head else message
    is_of_rows = (
        code in ROW_ERRORS or (state or "").startswith(CONSTRAINT_STATES) or _OF_ENGINE.match(said)
    )
    if not is_of_rows:
        return message
    # A value can end like the text around it, so the place alone proves nothing.
    words = set(re.findall(r"\w+", sql.upper()))
    named = [hit["column"] for one in _COLUMN if (hit := one.search(said.rstrip()))]
    column = next((f" in column {one}" for one in named if one.upper() in words), "")
    return (
        f"{code:06d} ({state or ''}): a value{column} cannot be used; the engine's text is left "
        "out, since it may quote a row. Run the statement by hand to see it"
    )
