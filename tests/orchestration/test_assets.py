"""The webhook assets on stand-in marts: the guard, the config, and actionable errors."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.resources import WarehouseResource
from sync.clock import warehouse_clock
from sync.ledger.recording_lease import recording_lease
from sync.local.embedded.lifecycle import free_port, stop
from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.orchestration.conftest import PASSED_AT
from tests.support.completions import add_completions, completion
from tests.support.definitions import (
    ACTIVATED,
    everything_said,
    failure_texts,
    metadata_of,
    run,
    run_config,
)
from tests.support.event_types import COMPLETIONS
from tests.support.receiver import Receiver


def recorded(warehouse: Warehouse) -> int:
    return warehouse.rows("select count(*) as n from analytics.sync.webhook_outbox")[0]["n"]


def guard_passed(result: dg.ExecuteInProcessResult) -> bool:
    """The result of the mass-send guard's check."""
    (check,) = [
        one
        for one in result.get_asset_check_evaluations()
        if one.check_name == "no_unusual_number_of_completions"
    ]
    return check.passed


def test_an_unusual_number_fails_its_check_and_records_nothing(
    marts: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance, target: Receiver
) -> None:
    result = run(webhooks_job, instance, detection=ACTIVATED | {"mass_send_limit": 2})
    assert guard_passed(result) is False
    assert recorded(marts) == 0
    assert target.received == []
    assert metadata_of(result)["newly_completed_enrollments"]["held_back"] == 3
    assert "allow_mass_send: true" in everything_said(instance, result.run_id)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"mass_send_limit": 2, "allow_mass_send": True}, id="allowed"),
        pytest.param({"mass_send_limit": 3}, id="at the limit"),
    ],
)
def test_a_number_within_the_guard_passes_its_check_and_is_sent(
    marts: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    target: Receiver,
    config: dict[str, Any],
) -> None:
    result = run(webhooks_job, instance, detection=ACTIVATED | config)
    assert guard_passed(result) is True
    assert recorded(marts) == 3
    assert len(target.received) == 3


def test_a_second_run_finds_and_sends_nothing_new(
    marts: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance, target: Receiver
) -> None:
    run(webhooks_job, instance, detection=ACTIVATED)
    result = run(webhooks_job, instance, detection=ACTIVATED)
    assert metadata_of(result)["newly_completed_enrollments"]["recorded"] == 0
    assert metadata_of(result)["completion_webhooks"]["attempts"] == 0
    assert len(target.received) == 3


def test_a_run_says_when_there_is_something_to_send_again(
    marts: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance, target: Receiver
) -> None:
    target.answers["/"] = (503, {"Retry-After": "3600"})
    now = warehouse_clock(marts)
    result = run(webhooks_job, instance, detection=ACTIVATED)
    found = metadata_of(result)["completion_webhooks"]["next_due_at"]
    # The clocks of the run and of this test differ by what their first statements took.
    assert found - now().replace(tzinfo=UTC).timestamp() == pytest.approx(3_600, abs=100)
    assert "the next webhook can be sent at" in everything_said(instance, result.run_id)
    marts.execute("update analytics.sync.webhook_outbox set state = 'delivered'")
    result = run(webhooks_job, instance, detection=ACTIVATED)
    assert metadata_of(result)["completion_webhooks"]["next_due_at"] == "nothing waits to be sent"


def test_a_run_that_meets_another_recording_says_so_and_sends_what_was_recorded_before(
    marts: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance, target: Receiver
) -> None:
    run(webhooks_job, instance, steps=1, detection=ACTIVATED)
    add_completions(marts, [completion(4, PASSED_AT)])
    clock = warehouse_clock(marts)
    with recording_lease(marts, COMPLETIONS.name, run_id="another", clock=clock):
        result = run(webhooks_job, instance, detection=ACTIVATED)
    assert result.success
    found = metadata_of(result)["newly_completed_enrollments"]
    assert (found["recorded"], found["left_to_run"]) == (0, "another")
    said = everything_said(instance, result.run_id)
    assert "run another is recording completions: this run leaves them to it" in said
    assert len(target.received) == 3
    run(webhooks_job, instance, detection=ACTIVATED)
    assert len(target.received) == 4


@pytest.mark.parametrize(
    ("config", "named"),
    [
        pytest.param({"detection": {"activated_at": "soon"}}, "activated_at", id="no time"),
        pytest.param({"detection": {"mass_send_limit": 0}}, "mass_send_limit", id="no limit"),
        pytest.param(
            {"enrichment": {"max_enrichment_wait_minutes": -1}},
            "max_enrichment_wait_minutes",
            id="negative minutes",
        ),
        pytest.param({"delivery": {"threads": 0}}, "threads", id="no thread"),
    ],
)
def test_a_value_out_of_range_fails_the_run_and_is_named(
    marts: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    target: Receiver,
    config: dict[str, Any],
    named: str,
) -> None:
    result = run(webhooks_job, instance, **config)
    assert not result.success
    assert named in "\n".join(failure_texts(result))
    assert target.received == []


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"enable_webhook_learning_time_enrichment": "yes"}, id="not a boolean"),
        pytest.param({"enable_learning_time": True}, id="misspelt"),
    ],
)
def test_the_launchpad_refuses_a_misspelt_flag(
    webhooks_job: dg.JobDefinition, config: dict[str, Any]
) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=next(iter(config))):
        dg.validate_run_config(webhooks_job, run_config(enrichment=config))


def test_before_the_models_were_built_the_error_says_what_to_do(
    no_marts: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance
) -> None:
    result = run(webhooks_job, instance, detection=ACTIVATED)
    assert not result.success
    [text] = failure_texts(result)
    assert "completed_enrollments" in text.lower()
    assert "learning_time_job" in text


def test_half_a_snowflake_configuration_is_an_error_that_lists_the_rest(
    marts: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A silent fallback to the embedded warehouse would look like success."""
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "example")
    result = run(webhooks_job, instance, steps=1)
    assert not result.success
    [text] = failure_texts(result)
    for setting in ("SNOWFLAKE_USER", "SNOWFLAKE_ROLE", "SNOWFLAKE_PRIVATE_KEY"):
        assert setting in text
    assert "SNOWFLAKE_ACCOUNT," not in text
    assert recorded(marts) == 0


def test_a_missing_signing_key_holds_the_webhooks_and_is_named_in_the_log(
    marts: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    target: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LTW_SECRET_WEBHOOK_SIGNING_1")
    result = run(webhooks_job, instance, detection=ACTIVATED)
    assert result.success
    assert "LTW_SECRET_WEBHOOK_SIGNING_1" in everything_said(instance, result.run_id)
    assert target.received == []
    states = marts.rows("select distinct state, state_reason from analytics.sync.webhook_outbox")
    assert states == [{"state": "held", "state_reason": "signing_key_missing"}]


def test_the_resource_starts_the_embedded_warehouse_when_none_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Makes a plain ``dagster dev`` work in a fresh checkout."""
    settings = EmbeddedWarehouse(port=free_port(), home=tmp_path)
    monkeypatch.setenv("LTW_WAREHOUSE_PORT", str(settings.port))
    monkeypatch.setenv("LTW_HOME", str(tmp_path))
    try:
        with WarehouseResource().session(purpose="tests") as session:
            assert recorded(session) == 0
            assert session.rows("select count(*) as n from raw.tracking.tracking_logs") == [
                {"n": 0}
            ]
    finally:
        assert stop(settings)
