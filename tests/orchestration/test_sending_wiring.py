"""What the asset passes to a delivery run."""

from __future__ import annotations

import dagster as dg
import pytest

from orchestration.defs.webhooks.assets import completion_webhooks
from orchestration.resources import WarehouseResource
from sync.http.network import CANARY_SETTING, DEVELOPMENT_SETTING
from sync.warehouse import Warehouse
from tests.support.dead_hosts import black_hole, closed_port
from tests.support.delivery import SECRET, Run, complete, seed


@pytest.mark.parametrize("is_canary_dead", [True, False])
def test_the_asset_sends_with_the_canary_that_the_environment_names(
    warehouse: Warehouse,
    instance: dg.DagsterInstance,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_canary_dead: bool,
) -> None:
    """Three hosts are down. Whether that is charged depends only on the canary."""
    with (
        black_hole("127.0.0.1") as first,
        black_hole("127.0.0.2") as second,
        black_hole("127.0.0.3") as third,
        black_hole("127.0.0.9") as gone,
        closed_port("127.0.0.9") as alive,
    ):
        hosts = [f"127.0.0.1:{first}", f"127.0.0.2:{second}", f"127.0.0.3:{third}"]
        seed(warehouse, [f"http://{one}/in" for one in hosts], timeout_seconds=1)
        complete(warehouse, range(3), endpoints=3)
        journals = tmp_path_factory.mktemp("journals")
        run = Run(host_ports=",".join(hosts), journals=journals, endpoints=3)
        run.record_and_build(warehouse)
        monkeypatch.setenv(DEVELOPMENT_SETTING, run.host_ports)
        monkeypatch.setenv("LTW_JOURNAL_DIR", str(journals))
        monkeypatch.setenv(CANARY_SETTING, f"127.0.0.9:{gone if is_canary_dead else alive}")
        for n in (1, 2, 3):
            monkeypatch.setenv(f"LTW_SECRET_WEBHOOK_SIGNING_{n}", SECRET)
        result = dg.materialize(
            [completion_webhooks],
            instance=instance,
            resources={"warehouse": WarehouseResource()},
            run_config={"ops": {"sync__completion_webhooks": {"config": {"linger_seconds": 0}}}},
            raise_on_error=False,
        )
    assert result.success is not is_canary_dead
    rows = warehouse.rows("select attempt_count from analytics.sync.webhook_outbox")
    assert [row["attempt_count"] for row in rows] == [int(not is_canary_dead)] * 3
