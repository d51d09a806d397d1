"""The ledger that these tests start from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse, open_warehouse
from tests.support.scenarios import Scenarios
from tests.support.site import Built, built_site


@pytest.fixture
def warehouse(scenarios: Scenarios) -> Iterator[Warehouse]:
    """An open session on a warehouse with an empty ledger and no other tables."""
    scenarios.stand("ledger", ensure_ledger)
    with open_warehouse(scenarios.settings, purpose="tests") as opened:
        yield opened


@pytest.fixture
def built(scenarios: Scenarios, warehouse: Warehouse, tmp_path: Path) -> Built:
    """A ledger with built webhooks that are due: one endpoint for each number of webhooks."""
    return partial(built_site, scenarios, warehouse, tmp_path)
