"""The ledger that these tests start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse, open_warehouse
from tests.support.scenarios import Scenarios


@pytest.fixture
def warehouse(scenarios: Scenarios) -> Iterator[Warehouse]:
    """An open session on a warehouse with an empty ledger, and no other table."""
    scenarios.stand("ledger", ensure_ledger)
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        yield opened
