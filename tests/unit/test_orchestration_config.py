"""Settings of a run, and their defaults from the environment."""

from __future__ import annotations

import os
import re
import runpy
from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError

from orchestration import config
from orchestration.config import DeliveryConfig, DetectionConfig, EnrichmentConfig
from sync.delivery.build import EnrichmentPolicy
from sync.delivery.flag import ALLOWLIST_VARIABLE, FLAG_VARIABLE
from sync.errors import ConfigurationError
from sync.operations.environment import ACTIVATED_AT_SETTING

ENTERPRISE = "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8"


def default_policy(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> EnrichmentPolicy:
    """As for a schedule: without config, only with the environment of the code location."""
    for name in os.environ:
        if name.startswith(("WEBHOOK", "ENABLE_WEBHOOK")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    # Dagster loads the module once, in a separate process.
    loaded = runpy.run_path(config.__file__, run_name="config_of_another_process")
    return loaded["EnrichmentConfig"]().policy()


@pytest.mark.parametrize(("variables", "enabled"), [({FLAG_VARIABLE: "true"}, True), ({}, False)])
def test_the_environment_of_the_process_sets_the_default_of_its_runs(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], enabled: bool
) -> None:
    assert default_policy(monkeypatch, variables).enabled is enabled


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (FLAG_VARIABLE, "ture", f"{FLAG_VARIABLE} is 'ture'"),
        (ALLOWLIST_VARIABLE, "Example", ALLOWLIST_VARIABLE),
        (ACTIVATED_AT_SETTING, "soon", f"{ACTIVATED_AT_SETTING}: 'soon' must look like"),
    ],
)
def test_a_wrong_variable_is_named_when_the_definitions_load(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        default_policy(monkeypatch, {variable: value})


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", None),
        ("2026-03-01", datetime(2026, 3, 1)),
        ("2026-03-01T10:00:00Z", datetime(2026, 3, 1, 10)),
        ("2026-03-01T10:00:00+02:00", datetime(2026, 3, 1, 8)),
        ("2026-03-01T10:00:00", datetime(2026, 3, 1, 10)),
    ],
)
def test_the_activation_is_a_time_in_utc(text: str, at: datetime | None) -> None:
    assert DetectionConfig(activated_at=text).activation() == at


@pytest.mark.parametrize("text", ["soon", "2026-13-01", "01/03/2026", "1767225600"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValidationError, match=r"activated_at: .* must look like 2026-"):
        DetectionConfig(activated_at=text)


@pytest.mark.parametrize(
    "texts", [["Example Industries"], [ENTERPRISE, "7d3f1c52"]], ids=["a name", "one of two"]
)
def test_an_enterprise_that_is_no_uuid_is_refused_with_the_setting_s_name(texts: list[str]) -> None:
    with pytest.raises(ValidationError, match=r"enterprise_allowlist: .* must look like"):
        EnrichmentConfig(enterprise_allowlist=texts)


def test_enterprises_are_taken_in_any_spelling() -> None:
    given = EnrichmentConfig(enterprise_allowlist=[ENTERPRISE.upper(), ENTERPRISE])
    assert given.policy().rollout.enterprises == {ENTERPRISE}


def test_limits_have_bounds() -> None:
    for refused in (
        lambda: DetectionConfig(mass_send_limit=0),
        lambda: EnrichmentConfig(max_enrichment_wait_minutes=-1),
        lambda: EnrichmentConfig(max_enrichment_wait_minutes=24 * 60 + 1),
        lambda: EnrichmentConfig(rollout_percentage=101),
        lambda: EnrichmentConfig(rollout_percentage=-1),
        lambda: DeliveryConfig(threads=0),
        lambda: DeliveryConfig(batch_size=0),
        lambda: DeliveryConfig(time_budget_seconds=1),
    ):
        with pytest.raises(ValidationError):
            refused()


def test_the_config_speaks_the_library_s_terms() -> None:
    policy = EnrichmentConfig(
        enable_webhook_learning_time_enrichment=True, max_enrichment_wait_minutes=0
    ).policy()
    assert (policy.enabled, policy.max_wait) == (True, timedelta(0))
    limits = DeliveryConfig(time_budget_seconds=60, threads=3, batch_size=7).limits()
    assert (limits.time_budget, limits.threads, limits.batch_size) == (timedelta(minutes=1), 3, 7)
