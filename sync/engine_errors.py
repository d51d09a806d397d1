"""What a warehouse error may show: names and codes, never a value from a row.

Engines quote the value that they cannot convert, and the value may itself contain quotes. So
nothing is stripped: the text of an error raised while rows are processed is omitted entirely,
except for the column that it names, if that is a word of the statement, whose values are bound.
"""

from __future__ import annotations

import re

ROW_ERRORS = range(100_000, 200_000)
"""Snowflake's codes for errors raised while a statement processes rows. Codes for compilation,
access, locks, limits and the session are lower; those of the connector are higher."""
CONSTRAINT_STATES = ("22", "23")
"""Classes of SQLSTATE for a bad value and a violated constraint, whatever the code."""
_HEAD = re.compile(r"\d+ \(\w*\): (?:[0-9a-f-]{36}: )?")
_OF_ENGINE = re.compile(r"(?!ParserException|NotImplementedError)\w+(?:Exception|Error): ")
"""Prefix of errors that DuckDB raised while the embedded server ran a statement, all under one
code; compilation errors begin with "Binder Error" or "Catalog Error"."""
_COLUMN = (
    re.compile(r"when casting from source column (?P<column>\w+)\Z"),
    re.compile(r"NOT NULL constraint failed: \w+\.(?P<column>\w+)\Z"),
    re.compile(r"\ADML operation to table \S+ failed on column (?P<column>\w+) with error: "),
)


def safe_text(message: str, *, code: int, state: str | None, sql: str) -> str:
    """The engine's error text, or a safe replacement if it could quote a row."""
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
        f"{code:06d} ({state or ''}): a value{column} cannot be used; the engine's text is "
        "omitted, since it may quote a row. Run the statement by hand to see it"
    )
