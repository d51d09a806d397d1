"""Cost of a body: each built-in format compared with the same one as a file, in one run.

CPU time of this process, so that other load on the machine does not change the ratio. The delivery
is complete: record, build, sign, send over sockets, journal and settle.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

import pytest

from sync.delivery.formats import read_folder
from sync.domain.formats import FORMATS
from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.support.completions import add_completions, completion
from tests.support.delivery import PASSED_AT, Run, all_steps, enterprise, seed
from tests.support.events import XAPI, content
from tests.support.measuring import measured
from tests.support.receiver_process import receiver_process
from tests.support.samples import PASSED, STUDIED

EXAMPLES = PROJECT_ROOT / "docs" / "formats"
BODIES, ROUNDS = 2_000, 9
WEBHOOKS = int(os.environ.get("LTW_BENCH_WEBHOOKS", "3000"))
PAIRS = int(os.environ.get("LTW_BENCH_PAIRS", "5"))
IDS = {"percipio_user_id": "learner", "percipio_organization_id": "customer"}
LEAST = 0.95
"""Share of the built-in format's throughput."""


@pytest.mark.parametrize("name", FORMATS)
def test_bodies_a_second(name: str) -> None:
    known, event = read_folder(EXAMPLES).known, content(PASSED, STUDIED)

    def seconds(which: str) -> float:
        body_format = known[which]
        began = time.process_time()
        for _ in range(BODIES):
            body_format.body(event)
        return time.process_time() - began

    pairs = [(seconds(name), seconds(f"{name}_as_file")) for _ in range(ROUNDS)]
    built_in, mapped = (median(one) for one in zip(*pairs, strict=True))
    ratio = median(one / other for one, other in pairs)
    print(
        f"\n{name}: {BODIES / built_in:,.0f} bodies/s built in, {BODIES / mapped:,.0f}/s as a "
        f"file, {ratio:.2f} times as many"
    )
    assert ratio >= LEAST


@pytest.mark.parametrize("name", FORMATS)
def test_a_delivery_whole(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LTW_FORMATS_DIR", str(EXAMPLES))
    with receiver_process() as target:
        run = Run(host_ports=target.host_port, journals=tmp_path, endpoints=1)

        def processor_seconds(which: str) -> float:
            """CPU time of a new ledger's completions, from recorded to delivered."""
            for table in ("webhook_outbox", "webhook_messages", "webhook_attempts"):
                warehouse.execute(f"drop table if exists analytics.sync.{table}")
            warehouse.execute("drop table if exists analytics.sync.ledger_migrations")
            seed(
                warehouse,
                [target.url("/ok/1")],
                payload_format=which,
                max_requests_per_minute=600_000,
                **XAPI,
            )
            add_completions(
                warehouse,
                [
                    completion(n, PASSED_AT, enterprise_customer_uuid=enterprise(1), **IDS)
                    for n in range(1, WEBHOOKS + 1)
                ],
            )
            with measured() as spent:
                report = all_steps(warehouse, run)
            assert report.outcomes == {"delivered": WEBHOOKS}
            return spent.cpu

        processor_seconds(name)
        pairs = []
        for n in range(PAIRS):
            order = (name, f"{name}_as_file")
            taken = {which: processor_seconds(which) for which in (order if n % 2 else order[::-1])}
            pairs.append((taken[name], taken[f"{name}_as_file"]))
    ratio = median(one / other for one, other in pairs)
    built_in, mapped = (median(one) for one in zip(*pairs, strict=True))
    print(
        f"\n{name}: {built_in / WEBHOOKS * 1e3:.2f} processor ms a webhook built in, "
        f"{mapped / WEBHOOKS * 1e3:.2f} as a file: {ratio:.3f} of the throughput of today"
    )
    assert ratio >= LEAST
