"""Disable an endpoint by hand, and enable it again once it accepts a test event."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from sync.clock import Clock
from sync.delivery.destinations import open_destination
from sync.delivery.endpoints import load_endpoints
from sync.domain.circuit_breaker import EndpointState
from sync.domain.endpoint import Endpoint
from sync.domain.states import State
from sync.errors import ConfigurationError
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.pauses import read_pauses
from sync.ledger.tables import OUTBOX
from sync.operations.endpoints import find_endpoint
from sync.operations.operation import Action, AuditedAction, EndpointId, Report
from sync.operations.send_test import sample_report, send_sample
from sync.warehouse import Warehouse

MAX_REASON = 64
"""Width of the ledger's column."""


class DisableEndpoint(AuditedAction):
    """Stop sending to an endpoint until it is enabled.

    Its webhooks are held and lose no attempt.
    """

    name: ClassVar[str] = "endpoints disable"

    endpoint_id: EndpointId = Field(description="Id in marts.webhook_endpoints.")
    reason: str = Field(
        min_length=1,
        max_length=MAX_REASON,
        description=f"Why, for the record; 1 to {MAX_REASON} characters.",
    )

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """The next run holds its webhooks. The first reason stays.

        Raises:
            ConfigurationError: there is no such endpoint.
        """
        find_endpoint(load_endpoints(warehouse), self.endpoint_id)
        states = EndpointStates(warehouse)
        is_changed = states.load([self.endpoint_id])[self.endpoint_id].disabled_at is None
        if is_changed:
            now = clock()
            states.change(
                [self.endpoint_id],
                lambda state: replace(
                    state,
                    disabled_at=state.disabled_at or now,
                    disabled_reason=state.disabled_reason or self.reason,
                    disabled_by=state.disabled_by if state.disabled_at else self.by,
                ),
            )
        return Report(
            document={
                "endpoint_id": self.endpoint_id,
                "disabled": True,
                "changed": is_changed,
            },
            outcome=(
                f"endpoint {self.endpoint_id} is disabled: the next run holds its webhooks"
                if is_changed
                else f"endpoint {self.endpoint_id} was already disabled; nothing was changed"
            )
            + f". Next: `ltw endpoints enable {self.endpoint_id}` sends a test event and, if it is "
            "accepted, releases them",
        )


class EnableEndpoint(Action):
    """Send to an endpoint again, once it has accepted a test event."""

    name: ClassVar[str] = "endpoints enable"

    endpoint_id: EndpointId = Field(description="Id in marts.webhook_endpoints.")

    def run(self, warehouse: Warehouse, clock: Clock) -> Report:
        """Held webhooks are released by the next run.

        Raises:
            ConfigurationError: there is no such endpoint, or the LMS has it as inactive.
            SecretError: it has no usable signing key.
        """
        endpoint = find_endpoint(load_endpoints(warehouse), self.endpoint_id)
        if not endpoint.is_active:
            raise ConfigurationError(
                f"endpoint {self.endpoint_id} is inactive in the LMS's configuration; set 'active' "
                "there"
            )
        with open_destination(os.environ, warehouse.settings) as tools:
            sample = send_sample(endpoint, tools, clock)
        said = sample_report(sample)
        was_disabled = enable(warehouse, self.endpoint_id) if sample.has_passed else None
        return Report(
            document={
                "enabled": sample.has_passed,
                "was_disabled": was_disabled,
                **said.document,
            },
            lines=[*said.lines, said.outcome],
            outcome=(
                f"endpoint {self.endpoint_id} is enabled; "
                + "; ".join(self._next(warehouse, endpoint, clock))
                if sample.has_passed
                else f"endpoint {self.endpoint_id} stays as it was: it did not accept the test "
                f"event. Next: `ltw endpoints check {self.endpoint_id}` shows what to fix"
            ),
            has_failed=said.has_failed,
        )

    def _next(self, warehouse: Warehouse, endpoint: Endpoint, clock: Clock) -> Iterator[str]:
        """What happens to its webhooks now, and what needs another command."""
        pause = read_pauses(warehouse, clock()).of(
            self.endpoint_id, endpoint.enterprise_customer_uuid
        )
        yield "the next run sends what was held for it" if pause is None else str(pause)
        if given_up := dead_letters(warehouse, self.endpoint_id):
            yield (
                f"{given_up:,} were given up before: `ltw replay --state {State.DEAD} --endpoint "
                f"{self.endpoint_id}` sends them"
            )


def dead_letters(warehouse: Warehouse, endpoint_id: int) -> int:
    """Webhooks of an endpoint that were given up."""
    return warehouse.value(
        f"""
        select count(*) as n from {warehouse.relation("sync", OUTBOX)}
        where endpoint_id = ? and state = '{State.DEAD}'
        """,
        endpoint_id,
    )


def enable(warehouse: Warehouse, endpoint_id: int) -> bool:
    """Send to it again; returns whether it was disabled. Call it after a passing test event.

    Its past failures are reset, its rate is not: a backlog must not hit it all at once.
    """
    states = EndpointStates(warehouse)
    was_disabled = states.load([endpoint_id])[endpoint_id].disabled_at is not None
    states.change(
        [endpoint_id],
        lambda state: EndpointState(
            endpoint_id=state.endpoint_id,
            version=state.version,
            rate_factor=state.rate_factor,
            next_slot_at=state.next_slot_at,
        ),
    )
    return was_disabled
