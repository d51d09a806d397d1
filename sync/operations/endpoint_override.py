"""Override an endpoint's URL or timeout until a given time, without waiting for the LMS."""

from __future__ import annotations

import os
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from sync.clock import Clock
from sync.delivery.destinations import open_destination
from sync.domain.endpoint import LONGEST_TIMEOUT_SECONDS, SHORTEST_TIMEOUT_SECONDS
from sync.errors import ConfigurationError
from sync.ledger.endpoint_settings import endpoints_with_settings
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.overrides import add_override, clear_overrides
from sync.operations.endpoints import disabled_text, overrides_in_force, unknown_endpoint
from sync.operations.operation import (
    MAX_TEXT,
    AuditedAction,
    CommandLine,
    EndpointId,
    Report,
    Timestamp,
)
from sync.warehouse import Warehouse

MAX_URL = 2_048


class OverrideEndpoint(AuditedAction):
    """Override the URL or timeout that the LMS has for an endpoint, until a given time.

    It takes effect with the next run. Without options it shows what is in force. Signing keys and
    the token URL stay as they are.
    """

    name: ClassVar[str] = "endpoints override"

    endpoint_id: EndpointId = Field(description="Id in marts.webhook_endpoints.")
    url: Annotated[str | None, CommandLine(is_only=True)] = Field(
        default=None,
        max_length=MAX_URL,
        description="The URL; the rules for URLs in the LMS apply. It is never shown.",
    )
    timeout_seconds: Annotated[int | None, CommandLine("--timeout")] = Field(
        default=None,
        ge=SHORTEST_TIMEOUT_SECONDS,
        le=LONGEST_TIMEOUT_SECONDS,
        description="Timeout of a whole request, in seconds.",
    )
    until: Timestamp | None = Field(
        default=None, description="When it expires, ISO 8601; required."
    )
    reason: str = Field(
        default="",
        max_length=MAX_TEXT,
        description=f"Why, for the record; at most {MAX_TEXT} characters; required.",
    )
    clear: Annotated[bool, CommandLine("--clear")] = Field(
        default=False, description="End the override in force instead."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        is_set = self.url is not None or self.timeout_seconds is not None
        if self.clear and is_set:
            raise ValueError("clear ends an override; do not give a URL or a timeout with it")
        if is_set and (self.until is None or not self.reason):
            raise ValueError("an override needs --until and --reason")
        if not is_set and self.until is not None:
            raise ValueError("an override needs --url or --timeout")
        return self

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """An override replaces the previous one entirely.

        Raises:
            ConfigurationError: there is no such endpoint, the URL breaks the rules, or the end is
                in the past.
        """
        customers = {
            int(row["endpoint_id"]): row["enterprise_customer_uuid"]
            for row in endpoints_with_settings(warehouse)
        }
        known = set(customers)
        if self.until is None:
            # The override of an endpoint that was deleted in the LMS can be shown and ended.
            known |= overrides_in_force(warehouse).keys()
        if self.endpoint_id not in known:
            raise unknown_endpoint(self.endpoint_id, customers)
        now = clock()
        cleared = 0
        if self.clear:
            cleared = clear_overrides(warehouse, self.endpoint_id, by=self.by, now=now)
        elif self.until is not None:
            if self.until <= now:
                raise ConfigurationError(f"until: {self.until} UTC is in the past")
            self._require_reachable(warehouse)
            made = add_override(
                warehouse,
                self.endpoint_id,
                enterprise=customers.get(self.endpoint_id),
                url=self.url,
                timeout_seconds=self.timeout_seconds,
                until=self.until,
                reason=self.reason,
                by=self.by,
                now=now,
            )
            cleared = clear_overrides(warehouse, self.endpoint_id, by=self.by, now=now, but=made)
        found = overrides_in_force(warehouse).get(self.endpoint_id)
        lines = []
        if found and not self.clear:
            lines.append(f"`ltw endpoints check {self.endpoint_id}` sends a test event there")
        state = EndpointStates(warehouse).load([self.endpoint_id])[self.endpoint_id]
        if state.disabled_at is not None:
            lines.append(f"endpoint {self.endpoint_id} gets nothing now: {disabled_text(state)}")
        return Report(
            document={
                "endpoint_id": self.endpoint_id,
                "override": found and vars(found),
                "cleared": cleared,
            },
            lines=lines,
            outcome=(
                f"endpoint {self.endpoint_id} has the URL and the timeout from the LMS"
                if found is None
                else str(found)
            ),
        )

    def _require_reachable(self, warehouse: Warehouse) -> None:
        if self.url is None:
            return
        with open_destination(os.environ, warehouse.settings) as tools:
            refusal = tools.refusal(self.url)
        if refusal is not None:
            raise ConfigurationError(f"url: {refusal}")
