"""A dry run reports everything and changes nothing: every table is compared byte for byte."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from orchestration import config as run_settings
from sync.warehouse import Warehouse
from tests.orchestration.conftest import PASSED_AT, Stand
from tests.support.completions import add_completions, completion
from tests.support.definitions import (
    STEPS,
    metadata_of,
    run,
    run_config,
    settings_in,
)
from tests.support.operator import everything_in
from tests.support.receiver import Receiver
from tests.support.scenarios import Make

DRY = {"dry_run": True}
FLAG = {"enable_webhook_learning_time_enrichment": True}
AssetFacts = dict[str, dict[str, Any]]


@pytest.fixture
def used(stand: Stand, after_a_run: Make) -> Warehouse:
    """A ledger with history: three delivered, then two new completions and one due retry."""

    def make(warehouse: Warehouse) -> None:
        after_a_run(warehouse)
        warehouse.execute(
            "update analytics.sync.webhook_outbox set state = 'pending', delivered_at = null,"
            " next_attempt_at = '2026-03-11' where user_id = 3"
        )
        add_completions(warehouse, [completion(n, PASSED_AT) for n in (4, 5)])

    return stand("used", make)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"detection": DRY, "enrichment": DRY, "delivery": DRY}, id="on all three"),
        pytest.param({"detection": DRY}, id="on the first"),
        pytest.param({"enrichment": DRY | FLAG}, id="on the second"),
        pytest.param({"delivery": DRY}, id="on the last"),
    ],
)
def test_no_table_changes_and_nobody_is_sent_anything(
    used: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    target: Receiver,
    config: dict[str, Any],
) -> None:
    """One ``dry_run: true`` anywhere is enough: a half dry run would be a trap."""
    before = everything_in(used)
    result = run(webhooks_job, instance, **config)
    assert result.success
    assert everything_in(used) == before
    assert target.received == []
    for facts in metadata_of(result).values():
        assert facts["dry_run"] is True
        shown = settings_in(facts["settings"])
        assert shown["dry_run"][0] == "true", "also where another asset's setting made it so"


def test_it_says_what_the_next_run_will_do_and_that_run_does_it(
    used: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    target: Receiver,
) -> None:
    dry = metadata_of(run(webhooks_job, instance, detection=DRY))
    before = everything_in(used)
    real = metadata_of(run(webhooks_job, instance))
    assert everything_in(used) != before, "the comparison notices a run that is not dry"
    assert dry["newly_completed_enrollments"]["would_record_completions"] == 2
    assert real["newly_completed_enrollments"]["recorded"] == 2
    assert dry["enriched_completions"]["would_be_built"] == 2
    assert real["enriched_completions"]["built"] == 2
    assert dry["completion_webhooks"]["would_send"] == 3
    assert real["completion_webhooks"]["delivered"] == 3
    rows = [record.data for record in dry["completion_webhooks"]["by_endpoint"].records]
    assert rows == [{"endpoint": 1, "verdict": "send", "why": "", "format": "v2", "webhooks": 3}]
    assert len(target.received) == 3


def test_it_goes_by_the_settings_of_the_other_assets(
    used: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance
) -> None:
    """The last asset's plan depends on the flag, which is in the second asset's config."""
    off = metadata_of(run(webhooks_job, instance, delivery=DRY))
    on = metadata_of(run(webhooks_job, instance, delivery=DRY, enrichment=FLAG))
    assert off["completion_webhooks"]["would_send"] == 3
    assert on["completion_webhooks"]["would_send"] == 1, "the new ones would wait for the mart"
    assert on["enriched_completions"]["would_be_waiting_for_learning_time"] == 2


def test_the_guard_shows_in_a_dry_run(
    used: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance
) -> None:
    result = run(webhooks_job, instance, detection=DRY | {"mass_send_limit": 1})
    facts = metadata_of(result)
    assert facts["newly_completed_enrollments"]["would_hold_back_completions"] == 2
    assert facts["enriched_completions"]["would_be_built"] == 0
    assert facts["completion_webhooks"]["would_send"] == 1, "what was recorded before goes on"
    for name in ("enriched_completions", "completion_webhooks"):
        assert facts[name]["would_hold_back"] == 2
        assert "allow_mass_send: true" in facts[name]["mass_send_guard"]
    failed = {one.check_name for one in result.get_asset_check_evaluations() if not one.passed}
    assert "no_unusual_number_of_completions" in failed


def test_before_the_first_run_it_decides_nothing_about_the_past(
    marts: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance
) -> None:
    """The first run decides permanently which completions are old; a dry run must not."""
    result = run(webhooks_job, instance, detection=DRY)
    facts = metadata_of(result)["newly_completed_enrollments"]
    assert facts["would_suppress_completions_before_activation"] == 3
    assert marts.rows("select * from analytics.sync.activations") == []


def test_a_false_in_the_launchpad_wins_over_the_environment(
    used: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    target: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a deployment where dry runs are the default."""
    flag = run_settings.flag_settings({run_settings.DRY_RUN_VARIABLE: "true"})
    monkeypatch.setattr("orchestration.defs.webhooks.dry_run.FLAG", flag)
    run(webhooks_job, instance)
    assert target.received == []
    wet = {"dry_run": False}
    run(webhooks_job, instance, detection=wet, enrichment=wet, delivery=wet)
    assert len(target.received) == 3


def test_one_asset_alone_can_be_run_dry(
    used: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
) -> None:
    before = everything_in(used)
    webhooks_job.execute_in_process(
        instance=instance,
        asset_selection=[STEPS[2]],
        run_config=run_config(delivery=DRY),
    )
    assert everything_in(used) == before
