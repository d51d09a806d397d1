"""Settings that an operator can change for a run: in launchpad, schedule or environment."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import dagster as dg
from pydantic import Field, field_validator

from sync.delivery.build import EnrichmentPolicy
from sync.delivery.flag import (
    ALLOWLIST_VARIABLE,
    DRY_RUN_VARIABLE,
    FLAG_VARIABLE,
    MAX_WAIT_MINUTES,
    MAX_WAIT_VARIABLE,
    ROLLOUT_VARIABLE,
    SHADOW_VARIABLE,
    FlagSettings,
    flag_settings,
)
from sync.delivery.record import DEFAULT_MASS_SEND_LIMIT
from sync.delivery.scheduler import Limits
from sync.domain.rollout import enterprise_uuids
from sync.errors import ConfigurationError
from sync.operations.environment import ACTIVATED_AT_SETTING, activated_at, as_activation

DRY_RUN = (
    "Decide and report everything; write and send nothing. True on any of the webhook "
    f"assets makes the whole run a dry run. Default from {DRY_RUN_VARIABLE}, else false."
)
VARIABLES = {
    "activated_at": ACTIVATED_AT_SETTING,
    "enable_webhook_learning_time_enrichment": FLAG_VARIABLE,
    "rollout_percentage": ROLLOUT_VARIABLE,
    "enterprise_allowlist": ALLOWLIST_VARIABLE,
    "max_enrichment_wait_minutes": MAX_WAIT_VARIABLE,
    "shadow_lookup": SHADOW_VARIABLE,
    "dry_run": DRY_RUN_VARIABLE,
}
"""Setting to the variable that provides its default; settings not listed have none."""
FLAG = flag_settings(os.environ)
"""The defaults of this process, read once, when Dagster loads the definitions."""
ACTIVATED_AT = activated_at(os.environ)
"""The same for the time of activation."""


class RecordingConfig(dg.Config):
    """Which events enter the outbox."""

    mass_send_limit: int = Field(
        default=DEFAULT_MASS_SEND_LIMIT,
        ge=1,
        description=(
            "With more new events than this, nothing is recorded and the asset check fails: a "
            "higher number is more likely a broken replica than a busy day."
        ),
    )
    allow_mass_send: bool = Field(
        default=False, description="Allow a batch above mass_send_limit in this run only."
    )
    dry_run: bool = Field(default=FLAG.is_dry_run, description=DRY_RUN)

    def activation(self) -> datetime | None:
        """Events before this time are never sent; None means the time of the first run."""
        return None


class DetectionConfig(RecordingConfig):
    """Which completions enter the outbox."""

    activated_at: str = Field(
        default=ACTIVATED_AT,
        description=(
            "Completions before this time (ISO 8601, UTC) are recorded but never sent. Only the "
            "very first run uses it; empty means the time of that run. Default from "
            f"{ACTIVATED_AT_SETTING}."
        ),
    )

    @field_validator("activated_at")
    @classmethod
    def _is_a_time(cls, text: str) -> str:
        if text:
            try:
                as_activation(text, setting="activated_at")
            except ConfigurationError as error:
                raise ValueError(str(error)) from error
        return text

    def activation(self) -> datetime | None:
        """The time as naive UTC, the form of a TIMESTAMP_NTZ; None when not set."""
        if not self.activated_at:
            return None
        return as_activation(self.activated_at, setting="activated_at")


class EnrichmentConfig(dg.Config):
    """The feature flag for a run that builds messages."""

    enable_webhook_learning_time_enrichment: bool = Field(
        default=FLAG.enabled,
        description=(
            "Add learning time to completion webhooks. Off: the standard webhook, byte for byte, "
            f"and nothing ever waits. Default from {FLAG_VARIABLE} as of when Dagster loaded the "
            "definitions, else off."
        ),
    )
    rollout_percentage: int = Field(
        default=FLAG.rollout_percentage,
        ge=0,
        le=100,
        description=(
            "With the flag on: the percentage of learners' course runs that get learning time. "
            "Each has a fixed place in the rollout, so raising the number removes none. Default "
            f"from {ROLLOUT_VARIABLE}, else 100."
        ),
    )
    enterprise_allowlist: list[str] = Field(
        default=list(FLAG.enterprise_allowlist),
        description=(
            "With the flag on: only customers with these UUIDs get learning time; an empty list "
            f"means all. Default from {ALLOWLIST_VARIABLE} (comma-separated), else empty."
        ),
    )
    max_enrichment_wait_minutes: int = Field(
        default=FLAG.max_wait_minutes,
        ge=0,
        le=MAX_WAIT_MINUTES,
        description=(
            "How long a new completion may wait for the learning_time mart to cover it; after "
            "that, it is sent without learning time and the reason is recorded. Default from "
            f"{MAX_WAIT_VARIABLE}, else 60."
        ),
    )
    shadow_lookup: bool = Field(
        default=FLAG.is_shadow_looked_up,
        description=(
            "After the build, look up the learning time that messages without it would have had: "
            "one statement of at most 5 s, for the metadata only. Default from "
            f"{SHADOW_VARIABLE}, else on."
        ),
    )
    dry_run: bool = Field(default=FLAG.is_dry_run, description=DRY_RUN)

    @field_validator("enterprise_allowlist")
    @classmethod
    def _are_uuids(cls, texts: list[str]) -> list[str]:
        try:
            return list(enterprise_uuids(texts, setting="enterprise_allowlist"))
        except ConfigurationError as error:
            raise ValueError(str(error)) from error

    def policy(self) -> EnrichmentPolicy:
        """The settings in the library's terms."""
        return FlagSettings(
            enabled=self.enable_webhook_learning_time_enrichment,
            rollout_percentage=self.rollout_percentage,
            enterprise_allowlist=tuple(self.enterprise_allowlist),
            max_wait_minutes=self.max_enrichment_wait_minutes,
            is_shadow_looked_up=self.shadow_lookup,
        ).policy()


class DeliveryConfig(dg.Config):
    """Delivery settings of a run."""

    time_budget_seconds: int = Field(
        default=240, ge=5, le=3600, description="No new batch starts after this time."
    )
    batch_size: int = Field(default=1_000, ge=1, le=5_000, description="Webhooks claimed at once.")
    threads: int = Field(default=32, ge=1, le=256, description="Maximum requests in flight.")
    requests_per_endpoint: int = Field(
        default=4, ge=1, le=64, description="Maximum requests in flight to one endpoint."
    )
    linger_seconds: int = Field(
        default=8,
        ge=0,
        le=60,
        description="Maximum wait for a first retry (5 s) or a slot in an endpoint's rate limit.",
    )

    dry_run: bool = Field(default=FLAG.is_dry_run, description=DRY_RUN)

    def limits(self) -> Limits:
        """The settings in the library's terms."""
        return Limits(
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
            "Rebuild the incremental models from all raw lines. Needed only after a change to the "
            "event seed or a parameter, never for late data."
        ),
    )
    with_row_counts: bool = Field(
        default=True,
        description="Show the row count of each table. One count per table, from metadata.",
    )
    with_column_lineage: bool = Field(
        default=True,
        description=(
            "Show the columns of each model and their lineage. Queries the warehouse for the "
            "columns of each model and its upstream models."
        ),
    )
