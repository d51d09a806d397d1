"""Every kind of fault at every statement of a run; the suite covers a representative part."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.delivery.test_warehouse_faults import running_plant, strike
from tests.support.faulty_proxy import Fault


@pytest.mark.parametrize("fault", list(Fault))
def test_every_statement_of_a_run_goes_wrong_once(
    warehouse_settings: EmbeddedWarehouse,
    warehouse: Warehouse,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
) -> None:
    caplog.set_level(logging.CRITICAL, logger="snowflake.connector")
    with running_plant(warehouse_settings, warehouse, tmp_path) as plant:
        # The first run creates rows that later ones only update.
        plant.complete()
        plant.run_healthily()
        strike(plant, fault, is_writes_only=False, every=1)
    print(f"\n{fault} at every statement of a run: nothing lost, repeated or stuck")
