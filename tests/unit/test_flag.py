"""The feature flag in the environment: every setting, and an error for every slip."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync.delivery.flag import (
    ALLOWLIST_VARIABLE,
    DRY_RUN_VARIABLE,
    FLAG_VARIABLE,
    MAX_WAIT_VARIABLE,
    ROLLOUT_VARIABLE,
    SHADOW_VARIABLE,
    FlagSettings,
    flag_settings,
)
from sync.errors import ConfigurationError

ENTERPRISE = "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8"
OTHER = "1b0c9f3a-6f0e-4a41-8d86-2c9f0f0a7e55"


def test_without_variables_nothing_is_enriched_and_nothing_limits_it() -> None:
    found = flag_settings({})
    assert found == FlagSettings()
    assert not found.policy().enabled
    assert (found.rollout_percentage, found.enterprise_allowlist) == (100, ())
    assert not found.is_dry_run


def test_empty_variables_are_like_none() -> None:
    variables = (FLAG_VARIABLE, ALLOWLIST_VARIABLE, DRY_RUN_VARIABLE, MAX_WAIT_VARIABLE)
    assert flag_settings(dict.fromkeys(variables, "")) == FlagSettings()


def test_every_setting_can_come_from_the_environment() -> None:
    found = flag_settings(
        {
            FLAG_VARIABLE: "true",
            ROLLOUT_VARIABLE: "25",
            ALLOWLIST_VARIABLE: f"{ENTERPRISE.upper()}, {OTHER.replace('-', '')}",
            MAX_WAIT_VARIABLE: "90",
            SHADOW_VARIABLE: "false",
            DRY_RUN_VARIABLE: "1",
        }
    )
    assert found == FlagSettings(
        enabled=True,
        rollout_percentage=25,
        enterprise_allowlist=(ENTERPRISE, OTHER),
        max_wait_minutes=90,
        is_shadow_looked_up=False,
        is_dry_run=True,
    )
    policy = found.policy()
    assert (policy.enabled, policy.max_wait) == (True, timedelta(minutes=90))
    assert (policy.rollout.percentage, policy.rollout.enterprises) == (25, {ENTERPRISE, OTHER})


@pytest.mark.parametrize(
    ("text", "flag"),
    [("true", True), ("True", True), ("1", True), ("false", False), ("0", False), ("", False)],
)
def test_the_flag_reads_known_words(text: str, flag: bool) -> None:
    assert flag_settings({FLAG_VARIABLE: text}).enabled is flag


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        *((FLAG_VARIABLE, text) for text in ("yes", "on", "ture", "2", " true")),
        (SHADOW_VARIABLE, "maybe"),
        (DRY_RUN_VARIABLE, "y"),
        *((ROLLOUT_VARIABLE, text) for text in ("101", "-1", "ten", "5.5", "10%", "٣")),
        *((MAX_WAIT_VARIABLE, text) for text in ("1441", "1h", "-5")),
        (ALLOWLIST_VARIABLE, "Example Industries"),
        (ALLOWLIST_VARIABLE, f"{ENTERPRISE};{OTHER}"),
    ],
)
def test_a_value_that_means_nothing_is_an_error_that_names_the_variable(
    variable: str, text: str
) -> None:
    """A typo must not read as "off", nor as "on"."""
    with pytest.raises(ConfigurationError, match=variable):
        flag_settings({variable: text})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (FlagSettings(), "off"),
        (FlagSettings(rollout_percentage=5), "off"),
        (FlagSettings(enabled=True), "on"),
        (
            FlagSettings(enabled=True, rollout_percentage=5, enterprise_allowlist=(ENTERPRISE,)),
            "on, for 5% of learners' course runs and allowlisted customers (1)",
        ),
    ],
)
def test_the_flag_in_words(settings: FlagSettings, words: str) -> None:
    assert settings.describe() == words
