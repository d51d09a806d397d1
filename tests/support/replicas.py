"""Replicas as replication tools write them, and what the macros read from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sync.local.raw_tables import TABLES
from sync.settings import RawSchema
from sync.warehouse import Warehouse

Dbt = Callable[..., Any]
PLACES: Mapping[str, RawSchema] = {name: schema for schema, name in TABLES}


def relation(warehouse: Warehouse, table: str) -> str:
    """Qualified name of a replica."""
    return warehouse.raw_relation(PLACES[table], table)


def replicate(
    warehouse: Warehouse,
    table: str,
    columns: Mapping[str, str],
    rows: Sequence[Sequence[str]],
    **types: str,
) -> None:
    """Recreate a replica.

    ``columns`` are the tool's columns (quoted name to type), added to those of the LMS, whose
    ``types`` can be changed; ``rows`` are SQL expressions: the LMS's columns in order, then the
    tool's.
    """
    kinds = dict(TABLES[PLACES[table], table]) | types | dict(columns)
    place = relation(warehouse, table)
    listed = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    warehouse.execute(f"drop table if exists {place}")
    warehouse.execute(f"create table {place} ({listed})")
    if rows:
        selected = " union all ".join(
            "select "
            + ", ".join(f"{value}::{kind}" for value, kind in zip(row, kinds.values(), strict=True))
            for row in rows
        )
        warehouse.execute(f"insert into {place} {selected}")


EVERY_READING = """
{%- set kinds = ['text', 'number', 'boolean', 'timestamp', 'zoned', 'date', 'variant', 'binary'] -%}
{%- set forms = ['flag', 'live', 'operation', 'hvr', 'sql_server'] -%}
{%- for kind in kinds %}
select
    {{ given_text('a', kind) }} as given,
    {{ spelled_as_iso('a::varchar') }} as iso,
    {%- for type in ['integer', 'boolean', 'timestamp', 'fraction', 'uuid', 'json', 'text'] %}
    {{ read_value(type, 'a', kind, 'b') }} as read_{{ type }},
    {%- endfor %}
    {%- for form in forms %}
    {{ deletion_state({'name': 'op', 'kind': kind, 'form': form}, 'a', none) }} as {{ form }},
    {%- endfor %}
    null as nothing
from t
{{ 'union all' if not loop.last }}
{%- endfor %}
"""
"""Template with every macro that reads a value, over every type. Not for execution."""


def compiled(dbt: Dbt, template: str, parameters: str = "{}") -> str:
    """The SQL rendered from a piece of a model."""
    found = dbt("compile", "--inline", template, "--vars", parameters)
    return found.results[0].node.compiled_code
