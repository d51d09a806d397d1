"""The sensors as the daemon calls them."""

from __future__ import annotations

import json

import dagster as dg
import pytest

from orchestration.resources import WarehouseResource
from sync.ledger import ensure_ledger
from sync.raw import create_raw_tables
from sync.warehouse import Warehouse
from tests.support.marts import create_marts
from tests.support.receiver import receiver


def tick(defs: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None):
    sensor = defs.get_sensor_def("completions_arrived")
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"warehouse": WarehouseResource()}
    )
    return sensor.evaluate_tick(context)


def test_a_change_starts_one_run_and_quiet_starts_none(
    defs: dg.Definitions, warehouse: Warehouse
) -> None:
    ensure_ledger(warehouse)
    create_raw_tables(warehouse)
    create_marts(warehouse)
    with dg.instance_for_test() as instance:
        first = tick(defs, instance, None)
        assert first.run_requests is not None
        assert len(first.run_requests) == 1
        assert first.run_requests[0].run_key
        second = tick(defs, instance, first.cursor)
        assert not second.run_requests
        assert second.skip_message is not None
        assert "nothing has changed" in second.skip_message


def test_before_the_first_build_it_skips_and_says_so(
    defs: dg.Definitions, warehouse: Warehouse
) -> None:
    with dg.instance_for_test() as instance:
        skipped = tick(defs, instance, None)
        assert skipped.skip_message is not None
        assert "not set up yet" in skipped.skip_message


def test_a_failed_run_is_posted_to_the_alert_url(
    defs: dg.Definitions, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = defs.resolve_job_def("completion_webhooks_job")
    with receiver() as target, dg.instance_for_test() as instance:
        monkeypatch.setenv("LTW_ALERT_URL", f"{target.url}/alerts")
        monkeypatch.setenv("LTW_DEVELOPMENT_TARGETS", target.host_port)
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not result.success
        context = dg.build_run_status_sensor_context(
            sensor_name="a_run_failed",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
        ).for_run_failure()
        defs.get_sensor_def("a_run_failed")(context)
        texts = [json.loads(one.body)["text"] for one in target.received]
    assert len(texts) == 1
    assert "completion_webhooks_job failed" in texts[0]


def test_both_sensors_start_stopped(defs: dg.Definitions) -> None:
    for name in ("completions_arrived", "a_run_failed"):
        assert defs.get_sensor_def(name).default_status is dg.DefaultSensorStatus.STOPPED
