"""Several delivery processes on one outbox: each webhook is received exactly once."""

from __future__ import annotations

from pathlib import Path

from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.support.receiver_process import receiver_process
from tests.support.side_by_side import deliver_side_by_side


def test_four_processes_deliver_a_thousand_webhooks_exactly_once_each(
    warehouse_settings: EmbeddedWarehouse, warehouse: Warehouse, tmp_path: Path
) -> None:
    with receiver_process() as target:
        outcome = deliver_side_by_side(
            warehouse_settings, warehouse, target, tmp_path, processes=4, webhooks=1_000
        )
    assert outcome.violations == []
    assert outcome.received == {1: 1_000}
    assert len(outcome.by_run) > 1, "more than one process took part"
