"""The check on the product's statements covers them, and only them."""

from __future__ import annotations

import json
from typing import Any

from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.support.snowflake_statements import (
    checked_statements,
    problems_of,
    problems_of_binds,
)

CORRELATED = (
    "select (select max(b.x) from (select 1 as x, 1 as id) as b where b.id = a.id) as x"
    " from (select 1 as id) as a"
)
"""It runs on the embedded warehouse."""


def test_a_statement_that_snowflake_refuses_is_found_where_the_product_sends_it(
    warehouse: Warehouse,
) -> None:
    names: dict[str, Any] = {}
    text = "def ask(warehouse, sql):\n    return warehouse.rows(sql)"
    exec(compile(text, str(PROJECT_ROOT / "sync" / "invented.py"), "exec"), names)  # noqa: S102
    with checked_statements() as problems:
        assert names["ask"](warehouse, CORRELATED) == [{"x": 1}]
    (problem,) = problems
    assert "sync/invented.py:ask: " in problem
    assert ": a correlated subquery stands in WHERE (https://docs.snowflake.com/" in problem


def test_statements_of_a_test_are_its_own_affair(warehouse: Warehouse) -> None:
    with checked_statements() as problems:
        warehouse.rows(CORRELATED)
    assert problems == []


def test_a_function_without_a_pin_is_found() -> None:
    assert problems_of("insert into a.t (k) select initcap(k) from table(flatten(input => ?))") == (
        "no pin for INITCAP in sync.operations.doctor.pins",
    )


def test_a_bound_time_with_an_offset_is_found() -> None:
    cast = "select cast(? as timestamp_ntz)"
    rows = json.dumps([{"at": "2026-03-04T05:06:07Z"}])
    assert len(problems_of_binds(cast, ("2026-03-04T05:06:07.1+02:00", rows))) == 2
    assert problems_of_binds(cast, ("2026-03-04T05:06:07.1", "about 2026-03-04T05:06:07Z")) == []
