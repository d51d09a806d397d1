"""Ten thousand completions, four delivery processes, each received exactly once."""

from __future__ import annotations

from pathlib import Path

from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.support.receiver_process import receiver_process
from tests.support.side_by_side import deliver_side_by_side

PROCESSES = 4
WEBHOOKS = 10_000


def test_ten_thousand_webhooks_by_four_processes(
    warehouse_settings: EmbeddedWarehouse, warehouse: Warehouse, tmp_path: Path
) -> None:
    with receiver_process() as target:
        outcome = deliver_side_by_side(
            warehouse_settings, warehouse, target, tmp_path, processes=PROCESSES, webhooks=WEBHOOKS
        )
    assert outcome.violations == []
    assert outcome.received == {1: WEBHOOKS}
    print(
        f"\n{WEBHOOKS} webhooks by {PROCESSES} processes in {outcome.seconds:.1f} s "
        f"({WEBHOOKS / outcome.seconds:.0f} a second), each received once; shares "
        f"{dict(sorted(outcome.by_run.items()))}"
    )
