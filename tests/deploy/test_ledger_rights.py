"""The ledger needs no more rights than ``deploy/snowflake/setup.sql`` grants."""

from __future__ import annotations

import pytest

from sync.ledger.tables import MIGRATIONS, ensure_ledger
from sync.warehouse import StatementFailed, Warehouse
from tests.support.scenarios import Scenarios


class MayNotCreateSchemas(Warehouse):
    """A session whose role lacks CREATE SCHEMA; Snowflake then also refuses "if not exists"."""

    def execute(self, sql: str, *binds: object) -> int:
        """Execute normally, except for schemas."""
        if sql.strip().startswith("create schema"):
            raise StatementFailed("Insufficient privileges to operate on database 'ANALYTICS'")
        return super().execute(sql, *binds)


@pytest.fixture
def restricted(warehouse: Warehouse) -> Warehouse:
    return MayNotCreateSchemas(warehouse.settings, warehouse._connection)


def test_in_a_schema_that_is_there_no_right_to_create_one_is_needed(
    warehouse: Warehouse, restricted: Warehouse
) -> None:
    warehouse.execute("create schema analytics.sync")
    assert ensure_ledger(restricted) == MIGRATIONS[-1].version


def test_where_there_is_none_the_refusal_is_shown(restricted: Warehouse) -> None:
    with pytest.raises(StatementFailed, match="Insufficient privileges"):
        ensure_ledger(restricted)


def test_a_ledger_that_stands_costs_one_statement(
    scenarios: Scenarios, warehouse: Warehouse
) -> None:
    scenarios.stand("ledger", ensure_ledger)
    before = warehouse.statements
    ensure_ledger(warehouse)
    assert warehouse.statements - before == 1
