"""List endpoints, switch one off by hand, and on again once it has taken a test event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sync.clock import Clock
from sync.delivery.endpoints import Endpoints, load_endpoints
from sync.domain.circuit_breaker import Breaker, EndpointState
from sync.domain.endpoint import Endpoint
from sync.domain.states import State
from sync.errors import ConfigurationError
from sync.ledger.due import SENDABLE_AT, WAITS_TO_BE_SENT
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.tables import ENDPOINT_STATE, OUTBOX
from sync.operations.endpoint_check import host_of
from sync.warehouse import Warehouse

MAX_REASON = 64
"""Width of the ledger's column."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One endpoint, its health and its load; moments are naive UTC."""

    endpoint: Endpoint
    state: EndpointState
    rests: bool
    due: int
    """Webhooks that a run would claim now; none while it gets nothing."""
    held: int

    @property
    def condition(self) -> str:
        """One word for people."""
        if not self.endpoint.is_active:
            return "inactive"
        if self.state.disabled_at is not None:
            return "disabled"
        if self.rests:
            return "resting"
        return "ready" if self.state.breaker_state is Breaker.CLOSED else "proving"

    def as_dict(self) -> dict[str, object]:
        """The same for JSON; no path of a URL, since it may hold a token."""
        return {
            "endpoint_id": self.endpoint.endpoint_id,
            "enterprise_customer_uuid": self.endpoint.enterprise_customer_uuid,
            "region": self.endpoint.region,
            "host": host_of(self.endpoint.url),
            "payload_format": self.endpoint.payload_format,
            "is_learning_time_enabled": self.endpoint.is_learning_time_enabled,
            "condition": self.condition,
            "breaker_state": self.state.breaker_state,
            "failing_since": self.state.failing_since,
            "paused_until": self.state.paused_until,
            "next_probe_at": self.state.next_probe_at,
            "disabled_at": self.state.disabled_at,
            "disabled_reason": self.state.disabled_reason,
            "due": self.due,
            "held": self.held,
        }


def find_endpoint(endpoints: Endpoints, endpoint_id: int) -> Endpoint:
    """A configured endpoint.

    Raises:
        ConfigurationError: there is none with this id, or its row cannot be read.
    """
    found = endpoints.by_id.get(endpoint_id)
    if found is not None:
        return found
    broken = [text for text in endpoints.unreadable.values() if f"endpoint {endpoint_id}:" in text]
    if broken:
        raise ConfigurationError(f"{broken[0]}; correct the row in marts.webhook_endpoints")
    known = ", ".join(str(one) for one in sorted(endpoints.by_id)[:20]) or "none at all"
    raise ConfigurationError(
        f"no endpoint {endpoint_id} in marts.webhook_endpoints; it has {known}. Was it deleted and "
        f"made anew? `ltw reroute --endpoint {endpoint_id}` shows what waits for it and moves it"
    )


def list_endpoints(warehouse: Warehouse, *, clock: Clock) -> list[Listed]:
    """Every readable endpoint, by id; three statements."""
    endpoints = load_endpoints(warehouse).by_id
    states = EndpointStates(warehouse).load(endpoints)
    now = clock()
    loads = {
        int(row["endpoint_id"]): row
        for row in warehouse.rows(
            f"""
            select
                outbox.endpoint_id,
                -- Distinct, since an endpoint may have two rows of state for a while.
                count(distinct iff(
                    {WAITS_TO_BE_SENT.format(row="outbox")}
                    and endpoint.disabled_at is null
                    and {SENDABLE_AT.format(row="outbox", endpoint="endpoint")}
                        <= cast(? as timestamp_ntz),
                    outbox.webhook_id, null
                )) as due,
                count(distinct iff(outbox.state = '{State.HELD}', outbox.webhook_id, null)) as held
            from {warehouse.relation("sync", OUTBOX)} as outbox
            left join {warehouse.relation("sync", ENDPOINT_STATE)} as endpoint
                on outbox.endpoint_id = endpoint.endpoint_id
            where outbox.endpoint_id is not null
            group by outbox.endpoint_id
            """,
            now.isoformat(),
        )
    }
    return [
        Listed(
            endpoint=endpoint,
            state=states[key],
            rests=states[key].rests_at(now),
            due=int(loads[key]["due"]) if key in loads else 0,
            held=int(loads[key]["held"]) if key in loads else 0,
        )
        for key, endpoint in sorted(endpoints.items())
    ]


def disable(warehouse: Warehouse, endpoint_id: int, *, reason: str, now: datetime) -> bool:
    """Send it nothing until somebody enables it; whether that changed anything.

    Its webhooks are held by the next run and lose no attempt. The first reason stands.

    Raises:
        ConfigurationError: no such endpoint, or no usable reason.
    """
    text = reason.strip()
    if not text or len(text) > MAX_REASON:
        raise ConfigurationError(f"the reason must have 1 to {MAX_REASON} characters")
    find_endpoint(load_endpoints(warehouse), endpoint_id)
    states = EndpointStates(warehouse)
    if states.load([endpoint_id])[endpoint_id].disabled_at is not None:
        return False
    states.change(
        [endpoint_id],
        lambda state: replace(
            state,
            disabled_at=state.disabled_at or now,
            disabled_reason=state.disabled_reason or text,
        ),
    )
    return True


def enable(warehouse: Warehouse, endpoint_id: int) -> bool:
    """Let it have webhooks again; whether it was disabled. Call it after a passing test event.

    Its past failures are forgotten, its rate is not: a backlog must not fall on it all at once.
    Held webhooks are released by the next run.
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
