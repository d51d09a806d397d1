"""What an operator can set for a run: in the launchpad, a schedule or the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field, field_validator

from sync.completions import DEFAULT_MASS_SEND_LIMIT
from sync.errors import ConfigurationError
from sync.freeze import DEFAULT_MAX_WAIT, EnrichmentPolicy
from sync.sender import DispatchLimits

FLAG_SETTING = "ENABLE_WEBHOOK_LEARNING_TIME_ENRICHMENT"
ACTIVATED_AT_SETTING = "WEBHOOKS_ACTIVATED_AT"
WORDS = {"true": True, "1": True, "false": False, "0": False, "": False}


def flag_default(environ: Mapping[str, str]) -> bool:
    """The feature flag's default: off, unless the environment says otherwise in a known word.

    Raises:
        ConfigurationError: the variable holds anything else; a typo must not read as "off".
    """
    text = environ.get(FLAG_SETTING, "")
    if text.lower() not in WORDS:
        raise ConfigurationError(
            f"{FLAG_SETTING} is {text!r}; it must be 'true', '1', 'false' or '0', or not set"
        )
    return WORDS[text.lower()]


class DetectionConfig(dg.Config):
    """Which completions enter the outbox."""

    activated_at: str = Field(
        default=os.environ.get(ACTIVATED_AT_SETTING, ""),
        description=(
            "Completions before this moment (ISO 8601, UTC) are recorded and never sent. Counts at "
            "the very first run only; empty means the moment of that run. Default from "
            f"{ACTIVATED_AT_SETTING}."
        ),
    )
    mass_send_limit: int = Field(
        default=DEFAULT_MASS_SEND_LIMIT,
        ge=1,
        description=(
            "With more new completions than this, nothing is recorded and the asset check fails: "
            "such a number is more often a broken replica than a busy day."
        ),
    )
    send_enrollment_events: bool = Field(
        default=False,
        description=(
            "Also record course_enrollment events, for endpoints that have enrollment events on. "
            "At its first run, enrollments from before that run are recorded and never sent."
        ),
    )
    allow_mass_send: bool = Field(
        default=False, description="Let a batch above mass_send_limit through, this once."
    )

    @field_validator("activated_at")
    @classmethod
    def _is_a_moment(cls, text: str) -> str:
        if text:
            try:
                datetime.fromisoformat(text)
            except ValueError as error:
                raise ValueError(
                    f"activated_at is {text!r}; it must look like 2026-11-24T00:00:00Z"
                ) from error
        return text

    def activation(self) -> datetime | None:
        """The moment as naive UTC, the form of a TIMESTAMP_NTZ; None when not set."""
        if not self.activated_at:
            return None
        moment = datetime.fromisoformat(self.activated_at)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        return moment


class EnrichmentConfig(dg.Config):
    """The feature flag and its limits."""

    enable_webhook_learning_time_enrichment: bool = Field(
        default=flag_default(os.environ),
        description=(
            "Put learning time into completion webhooks. Off: the standard webhook, byte for byte, "
            f"and nothing ever waits. Default from {FLAG_SETTING} as it was when Dagster loaded "
            "the definitions, else off."
        ),
    )
    max_enrichment_wait_minutes: int = Field(
        default=int(DEFAULT_MAX_WAIT.total_seconds() // 60),
        ge=0,
        le=24 * 60,
        description=(
            "How long a new completion may wait for the learning_time mart to cover its pass; then "
            "it goes out without, and the reason is recorded."
        ),
    )

    def policy(self) -> EnrichmentPolicy:
        """The settings in the library's terms."""
        return EnrichmentPolicy(
            enabled=self.enable_webhook_learning_time_enrichment,
            max_wait=timedelta(minutes=self.max_enrichment_wait_minutes),
        )


class DeliveryConfig(dg.Config):
    """How a run sends."""

    time_budget_seconds: int = Field(
        default=240, ge=5, le=3600, description="Start no further batch after this time."
    )
    batch_size: int = Field(default=1_000, ge=1, le=5_000, description="Webhooks claimed at once.")
    threads: int = Field(default=32, ge=1, le=256, description="Requests in flight at most.")
    requests_per_endpoint: int = Field(
        default=4, ge=1, le=64, description="Requests in flight at most to one endpoint."
    )
    linger_seconds: int = Field(
        default=8,
        ge=0,
        le=60,
        description="Wait this long for a first retry (5 s) or a slot of an endpoint's rate.",
    )

    def limits(self) -> DispatchLimits:
        """The settings in the library's terms."""
        return DispatchLimits(
            batch_size=self.batch_size,
            threads=self.threads,
            per_endpoint=self.requests_per_endpoint,
            time_budget=timedelta(seconds=self.time_budget_seconds),
            linger=timedelta(seconds=self.linger_seconds),
        )


class ModelsConfig(dg.Config):
    """How the models are built."""

    full_refresh: bool = Field(
        default=False,
        description=(
            "Rebuild the incremental models from all raw lines. Needed only after a change of the "
            "event seed or of a parameter; late data never needs it."
        ),
    )
