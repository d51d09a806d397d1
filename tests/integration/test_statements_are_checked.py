"""The check on the product's statements looks at them, and only at them."""

from __future__ import annotations

from typing import Any

from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.support.snowflake_statements import checked_statements

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
    assert "sync/invented.py:ask: a correlated subquery outside WHERE" in problem


def test_statements_of_a_test_are_its_own_affair(warehouse: Warehouse) -> None:
    with checked_statements() as problems:
        warehouse.rows(CORRELATED)
    assert problems == []
