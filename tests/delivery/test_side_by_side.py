"""Several delivery processes on one outbox: each webhook is received exactly once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.support.receiver_process import receiver_process
from tests.support.side_by_side import LIMITS, deliver_side_by_side


@pytest.mark.parametrize("webhooks", [250, pytest.param(1_000, marks=pytest.mark.prove)])
def test_four_processes_deliver_each_webhook_exactly_once(
    warehouse_settings: EmbeddedWarehouse, warehouse: Warehouse, tmp_path: Path, webhooks: int
) -> None:
    """They claim at least five times for any number of webhooks."""
    with receiver_process() as target:
        outcome = deliver_side_by_side(
            warehouse_settings,
            warehouse,
            target,
            tmp_path,
            processes=4,
            webhooks=webhooks,
            in_company=True,
            limits=replace(LIMITS, batch_size=webhooks // 5),
        )
    assert outcome.violations == []
    assert outcome.received == {1: webhooks}
    assert len(outcome.by_run) > 1, "more than one process took part"
