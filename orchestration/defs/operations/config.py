"""What an operator sets for the jobs under "operations": safe until told otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import dagster as dg
from pydantic import AfterValidator, Field

from orchestration.config import DetectionConfig, FlagConfig
from sync.errors import ConfigurationError
from sync.ledger.retention import DEFAULT_DAYS
from sync.operations.backfill import DEFAULT_LIMIT, MOST
from sync.operations.backfill import Window as BackfillWindow
from sync.operations.replay_selection import ReplayState, Selection, Window
from sync.operations.reroute import Choice
from sync.operations.test_send import Flavour

SHOWN = 100
MOST_SHOWN = 1_000
"""Rows that the UI still renders at once."""


def _moment(text: str) -> str:
    if text:
        try:
            as_moment(text)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{text!r} must look like 2026-11-24T00:00:00Z") from error
    return text


def _one_of(choices: type[StrEnum], *, is_optional: bool = False) -> AfterValidator:
    """Dagster shows an enum by the names of its members, which are not the words of the ledger."""

    def check(text: str) -> str:
        if text not in list(choices) and not (is_optional and text == ""):
            raise ValueError(f"{text!r} is none of {', '.join(choices)}")
        return text

    return AfterValidator(check)


Moment = Annotated[str, AfterValidator(_moment)]


def as_moment(text: str) -> datetime | None:
    """The moment as naive UTC; None when not set."""
    if not text:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


DRY_RUN = Field(
    default=True,
    description="True: look, count, and change nothing. Set false for the real thing.",
)
CONFIRM_COUNT = Field(
    default=0,
    ge=0,
    description="For a real run: the number that the dry run found. 0: not agreed to yet.",
)
REQUESTED_BY = Field(
    default="", description="Who asks, for the audit in sync.replays; empty: this Dagster run."
)


class PreviewConfig(FlagConfig):
    """The settings that the next run would have."""

    activated_at: str = Field(
        default=DetectionConfig().activated_at,
        description="Before the first run only: completions before this moment are old.",
    )
    mass_send_limit: int = Field(
        default=DetectionConfig().mass_send_limit,
        ge=1,
        description="More new completions than this would not be recorded.",
    )
    send_enrollment_events: bool = Field(
        default=False, description="Also look for new enrollments."
    )
    show: int = Field(
        default=SHOWN, ge=0, le=MOST_SHOWN, description="Webhooks to list; all are counted."
    )


class ReplayConfig(dg.Config):
    """Which webhooks to send again. Every condition given must hold."""

    dry_run: bool = DRY_RUN
    confirm_count: int = CONFIRM_COUNT
    webhook_ids: list[str] = Field(default=[], description="Exactly these webhooks.")
    state: Annotated[str, _one_of(ReplayState, is_optional=True)] = Field(
        default="",
        description="dead, delivered or suppressed; needed unless webhook_ids are given.",
    )
    state_reason: str = Field(
        default="", description="Only with this reason, such as attempts_exhausted."
    )
    endpoint_id: int = Field(
        default=0, ge=0, description="Only webhooks of this endpoint. 0: of any."
    )
    enterprise: str = Field(default="", description="Only webhooks of this customer; its UUID.")
    since: Moment = Field(default="", description="Not before this moment, ISO 8601, UTC.")
    until: Moment = Field(default="", description="Before this moment, ISO 8601, UTC.")
    window: Annotated[str, _one_of(Window)] = Field(
        default=Window.RECORDED.value,
        description="The moment that since and until look at: recorded_at or delivered_at.",
    )
    requested_by: str = REQUESTED_BY

    def selection(self) -> Selection:
        """The conditions in the library's terms.

        Raises:
            ConfigurationError: they select nothing in particular, or contradict each other.
        """
        return Selection(
            webhook_ids=tuple(one.strip() for one in self.webhook_ids),
            endpoint_id=self.endpoint_id or None,
            enterprise=self.enterprise or None,
            state=ReplayState(self.state) if self.state else None,
            reason=self.state_reason or None,
            since=as_moment(self.since),
            until=as_moment(self.until),
            window=Window(self.window),
        )


class BackfillConfig(dg.Config):
    """Which completions from before the activation to send after all."""

    dry_run: bool = DRY_RUN
    confirm_count: int = CONFIRM_COUNT
    since: Moment = Field(description="Passed not before this moment, ISO 8601, UTC.")
    until: Moment = Field(description="Passed before this moment, ISO 8601, UTC.")
    enterprise: str = Field(default="", description="Only this customer; its UUID.")
    limit: int = Field(
        default=DEFAULT_LIMIT, ge=1, le=MOST, description="The oldest so many of the window."
    )
    requested_by: str = REQUESTED_BY

    def window(self) -> BackfillWindow:
        """The same in the library's terms.

        Raises:
            ConfigurationError: the window is open or empty, or the enterprise is no UUID.
        """
        since, until = as_moment(self.since), as_moment(self.until)
        if since is None or until is None:
            raise ConfigurationError("since and until must both name a moment")
        return BackfillWindow(
            since=since,
            until=until,
            enterprise=self.enterprise or None,
            limit=self.limit,
        )


class RerouteConfig(dg.Config):
    """Whose messages to move from a deleted endpoint to the customer's new one."""

    dry_run: bool = DRY_RUN
    confirm_count: int = CONFIRM_COUNT
    endpoint_id: int = Field(
        default=0, ge=0, description="Only messages of this deleted endpoint. 0: of any."
    )
    enterprise: str = Field(default="", description="Only this customer's; its UUID.")
    requested_by: str = REQUESTED_BY

    def choice(self) -> Choice:
        """The same in the library's terms.

        Raises:
            ConfigurationError: the enterprise is no UUID.
        """
        return Choice(endpoint_id=self.endpoint_id or None, enterprise=self.enterprise or None)


class EraseConfig(dg.Config):
    """Whom to erase. Dagster keeps the config of a run, so the learner's id must not be in it."""

    dry_run: bool = DRY_RUN
    confirm_count: int = CONFIRM_COUNT
    person_key: str = Field(
        description="The learner's key, as `ltw erase --user ID --dry-run` shows it. Never an id."
    )
    reason: str = Field(default="", description="For the audit, such as a ticket; names nobody.")
    requested_by: str = Field(
        default="", description="Who asks, for the audit in sync.erasures; empty: this Dagster run."
    )


class SampleConfig(dg.Config):
    """Which endpoint gets a test event."""

    endpoint_id: int = Field(description="Id in marts.webhook_endpoints.")
    flavour: Annotated[str, _one_of(Flavour)] = Field(
        default=Flavour.AS_CONFIGURED.value,
        description="as_configured, with_learning_time or without_learning_time.",
    )


class RetentionConfig(dg.Config):
    """What to empty, and whether to."""

    dry_run: bool = DRY_RUN
    days: int = Field(default=DEFAULT_DAYS, ge=1, description="Age in days, from the last change.")
