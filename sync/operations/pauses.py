"""Pause and resume sending: to everybody, to a customer or to an endpoint."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from sync.clock import Clock
from sync.delivery.endpoints import load_endpoints
from sync.domain.pauses import Pause, Pauses
from sync.errors import ConfigurationError
from sync.ledger.pauses import add_pause, end_pauses, read_pauses
from sync.operations.endpoints import find_endpoint
from sync.operations.operation import (
    MAX_TEXT,
    AuditedAction,
    CommandLine,
    Enterprise,
    Report,
    Timestamp,
)
from sync.warehouse import Warehouse


class _Selection(AuditedAction):
    """What is paused or resumed."""

    everything: Annotated[bool, CommandLine("--all")] = Field(
        default=False, description="Everything. Give this, a customer or an endpoint."
    )
    enterprise: Enterprise | None = Field(
        default=None, description="All endpoints of a customer, by UUID."
    )
    endpoint_id: Annotated[int | None, CommandLine("--endpoint")] = Field(
        default=None, description="One endpoint, by its id in marts.webhook_endpoints."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = (self.everything, self.enterprise is not None, self.endpoint_id is not None)
        if sum(given) != 1:
            raise ValueError("name one: everything (--all), an enterprise or an endpoint")
        return self

    def is_of(self, pause: Pause) -> bool:
        """Whether a pause is of exactly this selection."""
        return (pause.enterprise_customer_uuid, pause.endpoint_id) == (
            self.enterprise,
            self.endpoint_id,
        )

    def require_known(self, warehouse: Warehouse) -> None:
        """Refuse a typo: it would pause nothing, and nobody would notice.

        Raises:
            ConfigurationError: there is no such customer or endpoint.
        """
        if self.everything:
            return
        endpoints = load_endpoints(warehouse)
        if self.endpoint_id is not None:
            find_endpoint(endpoints, self.endpoint_id)
        elif self.enterprise not in {*endpoints.by_enterprise, *endpoints.unreadable}:
            raise ConfigurationError(
                f"customer {self.enterprise} has no endpoint in marts.webhook_endpoints"
            )


class PauseSending(_Selection):
    """Pause sending to everybody, to a customer or to an endpoint, until it is resumed.

    A run that is sending stops at its next claim. Recording and building continue; nothing is
    lost, and no attempt is counted against anybody.
    """

    name: ClassVar[str] = "pause"

    until: Timestamp | None = Field(
        default=None,
        description="When it expires, ISO 8601. Default: it lasts until it is resumed.",
    )
    reason: str = Field(
        min_length=1,
        max_length=MAX_TEXT,
        description=f"Why, for the record; 1 to {MAX_TEXT} characters.",
    )

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """It replaces an active pause of the same selection.

        Raises:
            ConfigurationError: there is no such customer or endpoint, or the end is in the past.
        """
        now = clock()
        if self.until is not None and self.until <= now:
            raise ConfigurationError(
                f"until: {self.until} UTC is in the past; it is {now:%H:%M:%S} UTC"
            )
        self.require_known(warehouse)
        pause_id = add_pause(
            warehouse,
            enterprise=self.enterprise,
            endpoint_id=self.endpoint_id,
            until=self.until,
            reason=self.reason,
            by=self.by,
            now=now,
        )
        # After adding the new one, so that there is no gap between them.
        replaced = end_pauses(
            warehouse,
            enterprise=self.enterprise,
            endpoint_id=self.endpoint_id,
            by=self.by,
            now=now,
            but=pause_id,
        )
        pauses = read_pauses(warehouse, now)
        # Somebody else may have paused or resumed the same selection in the meantime.
        made = next((one for one in pauses.on if self.is_of(one)), None)
        return Report(
            document={"pause_id": pause_id, "replaced": replaced, "pauses": as_dicts(pauses)},
            lines=[
                "a run that is sending stops claiming within 15 seconds; requests in flight "
                "finish and are recorded",
                "recording and building continue, and test events are sent",
            ],
            outcome=str(made or "somebody has resumed it in the meantime"),
        )


class ResumeSending(_Selection):
    """Resume sending after a pause: the oldest first, at each endpoint's usual rate."""

    name: ClassVar[str] = "resume"

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """End the pause of exactly this selection; other pauses stay and are listed.

        Raises:
            ConfigurationError: there is no such customer or endpoint.
        """
        now = clock()
        ended = [one for one in read_pauses(warehouse, now).on if self.is_of(one)]
        if ended:
            end_pauses(
                warehouse,
                enterprise=self.enterprise,
                endpoint_id=self.endpoint_id,
                by=self.by,
                now=now,
            )
        else:
            self.require_known(warehouse)
        left = read_pauses(warehouse, now)
        return Report(
            document={
                "resumed": [one.pause_id for one in ended],
                "pauses": as_dicts(left),
            },
            lines=[f"still on: {one}" for one in left.on],
            outcome=(
                f"{ended[0].what} is no longer paused: the next run sends what waits, and the "
                "sensor completions_arrived, if it is on, starts one"
                if ended
                else "there was no such pause; nothing was changed"
            ),
        )


def as_dicts(pauses: Pauses) -> list[dict[str, object]]:
    """The pauses that are on, for JSON, with the command that ends each."""
    return [
        {**vars(one), "what": one.what, "resume": one.resume, "text": str(one)} for one in pauses.on
    ]
