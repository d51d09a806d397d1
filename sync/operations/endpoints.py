"""The endpoints as an operator sees them: one by its id, all with their health and their load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sync.clock import Clock
from sync.delivery.endpoints import Endpoints
from sync.domain.circuit_breaker import Breaker, EndpointState
from sync.domain.destination import NotReady, Ready
from sync.domain.endpoint import Endpoint
from sync.domain.states import Reason, State
from sync.errors import ConfigurationError
from sync.http.urls import InvalidTarget, parse_url
from sync.ledger.due import SENDABLE_AT, WAITS_TO_BE_SENT
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.tables import ENDPOINT_STATE, OUTBOX
from sync.warehouse import Warehouse

Readiness = Callable[[Endpoint], Ready | NotReady | None]

_CONDITIONS = {
    Reason.ENDPOINT_INVALID: "invalid",
    Reason.SIGNING_KEY_MISSING: "no key",
    Reason.OAUTH_INCOMPLETE: "no credentials",
}


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One endpoint, its health and its load; times are naive UTC."""

    endpoint: Endpoint
    state: EndpointState
    is_blocked: bool
    """Whether it gets nothing now."""
    due: int
    """Webhooks that a run would claim now; none while it is blocked."""
    held: int
    not_ready: NotReady | None = None
    """What a run would hold its webhooks for."""

    @property
    def condition(self) -> str:
        """A word or two for people; ``why`` has the rest."""
        if not self.endpoint.is_active:
            return "inactive"
        if self.state.disabled_at is not None:
            return "disabled"
        if self.not_ready is not None:
            return _CONDITIONS[self.not_ready.reason]
        if self.state.breaker_state is Breaker.CLOSED:
            return "paused" if self.is_blocked else "ready"
        return "breaker open" if self.is_blocked else "breaker half-open"

    @property
    def why(self) -> str | None:
        """Why it gets nothing, where that is known in words."""
        if self.condition == "disabled":
            return self.state.disabled_reason
        return self.not_ready and self.not_ready.problem

    def as_dict(self) -> dict[str, object]:
        """The same for JSON; no path of a URL, since it may hold a token."""
        return {
            "endpoint_id": self.endpoint.endpoint_id,
            "enterprise_customer_uuid": self.endpoint.enterprise_customer_uuid,
            "region": self.endpoint.region,
            "host": host_of(self.endpoint.url),
            **self.endpoint.stored(),
            "condition": self.condition,
            "why": self.why,
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
        raise ConfigurationError(f"{broken[0]}; fix it in the LMS, or in sync.endpoint_settings")
    known = ", ".join(str(one) for one in sorted(endpoints.by_id)[:20]) or "none at all"
    raise ConfigurationError(
        f"no endpoint {endpoint_id} in marts.webhook_endpoints; it has {known}. Was it deleted "
        f"and created again? `ltw reroute --endpoint {endpoint_id}` shows what waits for it and "
        "moves it"
    )


def list_endpoints(
    warehouse: Warehouse,
    loaded: Endpoints,
    *,
    clock: Clock,
    readiness: Readiness = lambda _: None,
) -> list[Listed]:
    """Every readable one, by id; two statements. ``readiness`` is that of a delivery run."""
    endpoints = loaded.by_id
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
            is_blocked=states[key].is_blocked_at(now),
            due=int(loads[key]["due"]) if key in loads else 0,
            held=int(loads[key]["held"]) if key in loads else 0,
            not_ready=found if isinstance(found := readiness(endpoint), NotReady) else None,
        )
        for key, endpoint in sorted(endpoints.items())
    ]


def host_of(url: str) -> str:
    """The host of a URL for people; ``?`` where it has none that can be read."""
    try:
        # Any port and scheme: this is for display, and the policy decides elsewhere.
        return parse_url(url, frozenset(), range(65_536)).host
    except InvalidTarget:
        return url.split("://", 1)[-1].split("/", 1)[0].split("@")[-1].split(":")[0] or "?"
