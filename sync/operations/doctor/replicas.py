"""What staging reads from each replica, taken from the macro that defines it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from sync.settings import PROJECT_ROOT, RawSchema

MACRO = PROJECT_ROOT / "dbt_project" / "macros" / "replica_tables.sql"
_KINDS: Mapping[str, str] = {
    "text": "VARCHAR TEXT STRING CHAR CHARACTER NVARCHAR",
    "number": "NUMBER DECIMAL NUMERIC INT INTEGER BIGINT SMALLINT TINYINT BYTEINT FLOAT FLOAT4 "
    "FLOAT8 DOUBLE REAL DECFLOAT",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP_NTZ DATETIME TIMESTAMP",
    "zoned": "TIMESTAMP_TZ TIMESTAMP_LTZ",
    "variant": "VARIANT OBJECT ARRAY",
    "binary": "BINARY VARBINARY",
    "date": "DATE",
}
READ_FROM: Mapping[str, frozenset[str]] = {
    "text": frozenset({*_KINDS, "other"}),
    "integer": frozenset({"text", "number", "variant"}),
    "fraction": frozenset({"text", "number", "variant"}),
    "boolean": frozenset({"text", "number", "boolean", "variant", "binary"}),
    "timestamp": frozenset({"text", "number", "timestamp", "zoned", "variant"}),
    "uuid": frozenset({"text", "variant", "binary"}),
    "json": frozenset({"text", "variant"}),
}
"""Kinds of types that a value can be read from, by what it is read as; tested with the macros."""
KIND_OF_TYPE = {name: kind for kind, names in _KINDS.items() for name in names.split()}
"""As the macro ``kind_of_type`` has it; any other type is not read."""


@dataclass(frozen=True)
class Replica:
    """One table."""

    source: RawSchema
    columns: Mapping[str, str]
    """Name to what it is read as."""
    optional: frozenset[str]
    may_be_missing: bool
    """The whole table: only an event type reads it."""


@cache
def replicas() -> Mapping[str, Replica]:
    """The replicas of the LMS by table; dbt and Python read the same lines of one file."""
    text = MACRO.read_text(encoding="utf-8")
    written = text.partition("{{ return(")[2].partition(") }}")[0]
    return {
        table: Replica(
            one["source"],
            one["columns"],
            frozenset(one.get("optional", ())),
            one.get("may_be_missing", False),
        )
        for table, one in ast.literal_eval(written).items()
    }
