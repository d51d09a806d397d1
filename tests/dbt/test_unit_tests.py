"""dbt's own unit tests, which production builds leave out."""

from __future__ import annotations

from sync.warehouse import Warehouse
from tests.conftest import Dbt
from tests.dbt.scenario import prepare


def test_every_dbt_unit_test_passes(warehouse: Warehouse, dbt: Dbt) -> None:
    """They read column types from the relations, so these are built first, without a row."""
    prepare(warehouse)
    dbt("build")
