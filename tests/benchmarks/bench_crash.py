"""Two hundred kills at random times of a run: their cost, and that nothing is lost."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from sync.delivery.scheduler import Limits
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.support.crashes import CrashSite
from tests.support.delivery import Run, seed
from tests.support.receiver_process import receiver_process

KILLS = int(os.environ.get("LTW_BENCH_KILLS", "200"))
THREADS = 8
EACH = 20
LONGEST_SECONDS = 1.5


def test_two_hundred_kills_at_random_times(
    warehouse_settings: EmbeddedWarehouse, warehouse: Warehouse, tmp_path: Path
) -> None:
    chance = random.Random(20260312)
    with receiver_process() as target:
        urls = [target.url(f"/wait/{n}/{n}") for n in (1, 5, 20)] + [target.url("/first/503/4")]
        seed(warehouse, urls)
        run = Run(
            host_ports=target.host_port,
            journals=tmp_path,
            endpoints=len(urls),
            limits=Limits(batch_size=10, threads=THREADS, per_endpoint=3),
        )
        site = CrashSite(warehouse_settings, warehouse, target, run)
        started = time.monotonic()
        while site.crashes < KILLS:
            site.complete(EACH)
            site.crash_after(chance.uniform(0.05, LONGEST_SECONDS))
        taken = time.monotonic() - started
        started = time.monotonic()
        site.recover(rounds=8)
        recovery = time.monotonic() - started
        site.assert_all_is_well()
        repeated = site.repeated()
    unknown = THREADS + Limits(threads=THREADS).unwritten
    assert repeated <= KILLS * unknown
    print(
        f"\n{KILLS} kills in {taken:.0f} s, {len(site.ids)} webhooks: none lost, "
        f"{repeated} repeated under the same id and bytes (at most {unknown} were in flight "
        f"or on their way to the disk at each kill), none after the journal or the ledger knew of "
        f"it; recovery {recovery:.1f} s"
    )
