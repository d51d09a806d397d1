"""The feature flag and its related settings, from the environment.

The same variables are the defaults of a Dagster run and of ``preview`` on the command line. An
invalid value is an error that names its variable: a typo must not be read as "off".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sync.delivery.build import DEFAULT_MAX_WAIT, EnrichmentPolicy
from sync.domain.rollout import EVERYBODY_PERCENTAGE, Rollout, enterprise_uuids
from sync.errors import ConfigurationError

FLAG_VARIABLE = "ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT"
ROLLOUT_VARIABLE = "WEBHOOK_LEARNING_TIME_ROLLOUT_PERCENTAGE"
ALLOWLIST_VARIABLE = "WEBHOOK_LEARNING_TIME_ENTERPRISE_ALLOWLIST"
MAX_WAIT_VARIABLE = "WEBHOOK_LEARNING_TIME_MAX_WAIT_MINUTES"
SHADOW_VARIABLE = "WEBHOOK_LEARNING_TIME_SHADOW_LOOKUP"
DRY_RUN_VARIABLE = "WEBHOOK_DRY_RUN"
MAX_WAIT_MINUTES = 24 * 60
WORDS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, kw_only=True)
class FlagSettings:
    """The environment's values, or the defaults."""

    enabled: bool = False
    rollout_percentage: int = EVERYBODY_PERCENTAGE
    enterprise_allowlist: tuple[str, ...] = ()
    max_wait_minutes: int = int(DEFAULT_MAX_WAIT.total_seconds() // 60)
    is_shadow_looked_up: bool = True
    is_dry_run: bool = False

    def describe(self) -> str:
        """A short description of the flag, for people."""
        if not self.enabled:
            return "off"
        limits = []
        if self.rollout_percentage < EVERYBODY_PERCENTAGE:
            limits.append(f"{self.rollout_percentage}% of learners' course runs")
        if self.enterprise_allowlist:
            limits.append(f"allowlisted customers ({len(self.enterprise_allowlist)})")
        return f"on, for {' and '.join(limits)}" if limits else "on"

    def policy(self) -> EnrichmentPolicy:
        """The same settings as ``build`` takes them."""
        return EnrichmentPolicy(
            enabled=self.enabled,
            max_wait=timedelta(minutes=self.max_wait_minutes),
            rollout=Rollout(self.rollout_percentage, frozenset(self.enterprise_allowlist)),
            is_shadow_looked_up=self.is_shadow_looked_up,
        )


def flag_settings(environ: Mapping[str, str]) -> FlagSettings:
    """Read the variables; one that is empty or not set keeps its default.

    Raises:
        ConfigurationError: a variable has an invalid value; names it and the valid values.
    """
    defaults = FlagSettings()
    allowlist = environ.get(ALLOWLIST_VARIABLE, "").replace(",", " ").split()
    return FlagSettings(
        enabled=_truth(environ, FLAG_VARIABLE, default=defaults.enabled),
        rollout_percentage=_whole(
            environ, ROLLOUT_VARIABLE, default=defaults.rollout_percentage, most=100
        ),
        enterprise_allowlist=enterprise_uuids(allowlist, setting=ALLOWLIST_VARIABLE),
        max_wait_minutes=_whole(
            environ, MAX_WAIT_VARIABLE, default=defaults.max_wait_minutes, most=MAX_WAIT_MINUTES
        ),
        is_shadow_looked_up=_truth(environ, SHADOW_VARIABLE, default=defaults.is_shadow_looked_up),
        is_dry_run=_truth(environ, DRY_RUN_VARIABLE, default=defaults.is_dry_run),
    )


def _truth(environ: Mapping[str, str], variable: str, *, default: bool) -> bool:
    text = environ.get(variable, "")
    if not text:
        return default
    if text.lower() not in WORDS:
        raise ConfigurationError(
            f"{variable} is {text!r}; it must be 'true', '1', 'false' or '0', or not set"
        )
    return WORDS[text.lower()]


def _whole(environ: Mapping[str, str], variable: str, *, default: int, most: int) -> int:
    text = environ.get(variable, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or int(text) > most:
        raise ConfigurationError(
            f"{variable} is {text!r}; it must be a whole number from 0 to {most}, or not set"
        )
    return int(text)
