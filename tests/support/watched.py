"""An observed delivery run: nine webhooks, of which three are delivered and the rest fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sync.delivery.send import send_due
from sync.http.transport import Transport
from sync.operations.watching import watching
from sync.telemetry import Span
from sync.warehouse import Warehouse
from tests.support.completions import add_completions, completion
from tests.support.delivery import PASSED_AT, SECRET, Run, enterprise, seed
from tests.support.marts import ANY_RECEIVER, point_endpoints
from tests.support.receiver_process import ReceiverProcess
from tests.support.scenarios import Scenarios

CANARIES = ("canary.learner@example.com", "canary_learner", SECRET.removeprefix("whsec_"))
"""Names and values that must not appear in any log, metric or span."""
ENDPOINTS = {1: 200, 2: 503, 3: 410}
"""The response of each endpoint, which echoes the whole request."""
PER_ENDPOINT = 3
NO_SETTING: dict[str, str] = {}


def built_run(
    scenarios: Scenarios, warehouse: Warehouse, target: ReceiverProcess, journals: Path
) -> Run:
    """The run, with its webhooks built and due."""
    run = Run(host_ports=target.host_port, journals=journals, endpoints=len(ENDPOINTS))

    def make(warehouse: Warehouse) -> None:
        seed(warehouse, [f"{ANY_RECEIVER}/echo/{status}/{n}" for n, status in ENDPOINTS.items()])
        rows = [
            completion(
                n,
                PASSED_AT,
                enterprise_customer_uuid=enterprise(n % 3 + 1),
                email=CANARIES[0],
                username=CANARIES[1],
            )
            for n in range(3 * PER_ENDPOINT)
        ]
        add_completions(warehouse, rows)
        run.record_and_build(warehouse)

    scenarios.stand("built run", make)
    point_endpoints(warehouse, target.url(""))
    return run


def deliver(warehouse: Warehouse, run: Run, environ: dict[str, str]) -> None:
    """The sending step of a Dagster run. The clock stands still, or a retry would come due."""
    now = run.clock(warehouse)()
    with (
        watching(Span.DELIVER, run.run_id, environ) as watch,
        Transport(policy=run.policy) as transport,
    ):
        sender = replace(run.sender(warehouse, transport), clock=lambda: now)
        report = send_due(warehouse, sender, on_batch=watch.batch)
        watch.delivered(warehouse, report)
