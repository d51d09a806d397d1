"""The flag in a Dagster run: effective values, their sources, and what is reported."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest

from orchestration import effective
from orchestration.config import EnrichmentConfig
from orchestration.effective import sources
from sync.delivery.flag import FLAG_VARIABLE, ROLLOUT_VARIABLE
from sync.warehouse import Warehouse
from tests.orchestration.conftest import Stand, three_completions
from tests.support.completions import ENTERPRISE
from tests.support.definitions import (
    ACTIVATED,
    failure_texts,
    metadata_of,
    run,
    settings_in,
)
from tests.support.marts import LEARNING_TIME_COLUMNS, create_table
from tests.support.pipeline import learning_time
from tests.support.receiver import Receiver

FLAG = "enable_webhook_learning_time_enrichment"


@pytest.fixture
def known(stand: Stand) -> Warehouse:
    """The mart has learning time for two of the three completions."""

    def make(warehouse: Warehouse) -> None:
        three_completions(warehouse)
        rows = [learning_time(n) for n in (1, 2)]
        create_table(warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, rows)

    return stand("three completions, two with a time", make)


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    return metadata_of(result)["enriched_completions"]


def settings(result: dg.ExecuteInProcessResult, asset: str = "enriched_completions"):
    return settings_in(metadata_of(result)[asset]["settings"])


def test_the_run_shows_each_setting_its_value_and_where_it_came_from(
    known: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance
) -> None:
    enrichment = {FLAG: True, "enterprise_allowlist": [ENTERPRISE.upper()]}
    result = run(webhooks_job, instance, detection=ACTIVATED, enrichment=enrichment)
    assert settings(result) == {
        FLAG: ("true", "run config"),
        "rollout_percentage": ("everybody", "default"),
        "enterprise_allowlist": (json.dumps([ENTERPRISE]), "run config"),
        "max_enrichment_wait_minutes": ("60", "default"),
        "shadow_lookup": ("true", "default"),
        "dry_run": ("false", "default"),
    }
    assert settings(result, "newly_completed_enrollments")["activated_at"] == (
        ACTIVATED["activated_at"],
        "run config",
    )
    assert settings(result, "completion_webhooks")["threads"] == ("32", "default")


def test_a_value_equal_to_the_default_and_one_from_a_variable_are_said_to_be_given(
    known: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run's config decides, not a comparison with the default."""
    monkeypatch.setenv("EXAMPLE_LOOKUP", "false")
    given = {FLAG: False, "rollout_percentage": 100, "shadow_lookup": {"env": "EXAMPLE_LOOKUP"}}
    result = run(webhooks_job, instance, steps=2, enrichment=given)
    found = settings(result)
    assert found[FLAG] == ("false", "run config")
    assert found["rollout_percentage"] == ("everybody", "run config")
    assert found["shadow_lookup"] == ("false", "run config, from environment EXAMPLE_LOOKUP")


def test_the_environment_s_default_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(effective, "SET_AT_LOAD", frozenset([FLAG_VARIABLE]))
    found = {name: source for name, _, source in sources(EnrichmentConfig(), {})}
    assert found[FLAG] == f"environment {FLAG_VARIABLE}"
    assert found["rollout_percentage"] == "default"
    given = {name: source for name, _, source in sources(EnrichmentConfig(), {FLAG: True})}
    assert given[FLAG] == "run config", "what is given wins over the environment"


def test_the_materialization_says_who_is_enriched_and_why_the_others_are_not(
    known: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    target: Receiver,
) -> None:
    enrichment = {FLAG: True, "max_enrichment_wait_minutes": 0}
    result = run(webhooks_job, instance, detection=ACTIVATED, enrichment=enrichment)
    facts = shown(result)
    assert (facts["built"], facts["enriched"]) == (3, 2)
    assert [record.data for record in facts["not_enriched"].records] == [
        {
            "messages": 1,
            "why": "not_yet: the mart did not cover the completion by the end of the wait",
        }
    ]
    assert facts["shadow_messages"] == 0
    carrying = sum("learning_time" in json.loads(one.body) for one in target.received)
    assert carrying == 2


def test_with_the_flag_off_the_shadow_says_what_it_would_have_done(
    known: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    target: Receiver,
) -> None:
    facts = shown(run(webhooks_job, instance, detection=ACTIVATED))
    assert (facts["built"], facts["enriched"]) == (3, 0)
    assert facts["learning_time_enrichment"] == "off"
    assert (facts["shadow_messages"], facts["shadow_asked"]) == (3, 3)
    assert facts["shadow_would_enrich"] == 2
    assert "would wait for the mart" in facts["shadow"]
    assert not any("learning_time" in json.loads(one.body) for one in target.received)


def test_a_shadow_that_fails_is_a_word_in_the_metadata(
    known: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    target: Receiver,
) -> None:
    known.execute("drop table analytics.marts.completion_learning_time")
    result = run(webhooks_job, instance, detection=ACTIVATED)
    assert result.success
    assert "unavailable" in shown(result)["shadow"]
    assert shown(result)["problems"] == "none"
    assert len(target.received) == 3


def test_nobody_is_enriched_at_0_percent_and_the_reason_is_said(
    known: Warehouse, webhooks_job: dg.JobDefinition, instance: dg.DagsterInstance
) -> None:
    enrichment = {FLAG: True, "rollout_percentage": 0}
    result = run(webhooks_job, instance, detection=ACTIVATED, enrichment=enrichment)
    assert shown(result)["enriched"] == 0
    assert [record.data for record in shown(result)["not_enriched"].records] == [
        {"messages": 3, "why": "not_in_rollout: outside rollout_percentage"}
    ]
    assert shown(result)["shadow_would_enrich"] == 2


@pytest.mark.parametrize(
    ("enrichment", "named"),
    [
        ({"rollout_percentage": 101}, "rollout_percentage"),
        ({"enterprise_allowlist": ["Example Industries"]}, "enterprise_allowlist: 'Example"),
    ],
)
def test_a_wrong_value_fails_the_run_before_anything_is_recorded(
    known: Warehouse,
    webhooks_job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    target: Receiver,
    enrichment: dict[str, Any],
    named: str,
) -> None:
    result = run(webhooks_job, instance, detection=ACTIVATED, enrichment=enrichment)
    assert not result.success
    assert named in "\n".join(failure_texts(result))
    assert target.received == []


def test_the_variables_are_those_of_the_settings() -> None:
    config = EnrichmentConfig()
    assert set(type(config).model_fields) <= set(effective.VARIABLES)
    assert effective.VARIABLES["rollout_percentage"] == ROLLOUT_VARIABLE
