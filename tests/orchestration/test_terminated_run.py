"""*Terminate* in the Dagster UI: the step gets SIGINT and leaves the ledger consistent."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration.defs.webhooks.assets import completion_webhooks
from orchestration.resources import WarehouseResource
from sync.http.network import DEVELOPMENT_SETTING
from sync.warehouse import Warehouse
from tests.support.delivery import SECRET, Run, audit, complete, delivered, seed
from tests.support.hostile import Conversation, Endpoint, response
from tests.support.signals import noticed

WEBHOOKS = 30


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_run_that_is_terminated_gives_back_what_it_has_not_tried(
    warehouse: Warehouse,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[bytes] = []

    def script(conversation: Conversation) -> None:
        while request := conversation.read_request():
            sent.append(request)
            if len(sent) == 3:
                os.kill(os.getpid(), signal.SIGINT)
                assert is_noted.wait(50)
            conversation.send(response("200 OK"))

    with noticed() as is_noted, Endpoint(script) as target:
        seed(warehouse, [target.url()], max_requests_per_minute=600_000)
        ids = complete(warehouse, range(WEBHOOKS), endpoints=1)
        run = Run(host_ports=f"127.0.0.1:{target.port}", journals=tmp_path, endpoints=1)
        run.record_and_build(warehouse)
        monkeypatch.setenv(DEVELOPMENT_SETTING, run.host_ports)
        monkeypatch.setenv("LTW_JOURNAL_DIR", str(tmp_path))
        monkeypatch.setenv("LTW_SECRET_WEBHOOK_SIGNING_1", SECRET)

        def materialize(**config: int) -> dg.ExecuteInProcessResult:
            return dg.materialize(
                [completion_webhooks],
                instance=instance,
                resources={"warehouse": WarehouseResource()},
                run_config={"ops": {"sync__completion_webhooks": {"config": config}}},
                raise_on_error=False,
            )

        assert not materialize(threads=1).success
        (record,) = instance.get_run_records()
        # Canceled only if the instance was asked to terminate it, not only this process.
        assert record.dagster_run.status is dg.DagsterRunStatus.FAILURE
        assert 3 <= len(delivered(warehouse)) < WEBHOOKS
        assert audit(warehouse, is_at_rest=True) == []
        assert materialize(linger_seconds=0).success
    assert delivered(warehouse) == ids
    assert len(sent) == WEBHOOKS, "nothing was sent twice"
