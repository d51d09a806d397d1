"""The endpoints as an operator sees them: one by its id, all with their health and their load."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sync.clock import Clock
from sync.delivery.endpoints import Endpoints, standing
from sync.domain.circuit_breaker import FAILING_TOO_LONG, Breaker, EndpointState
from sync.domain.destination import NotReady, Ready
from sync.domain.endpoint import Endpoint
from sync.domain.overrides import Override
from sync.domain.pauses import Pause
from sync.domain.states import Reason, State
from sync.errors import ConfigurationError
from sync.http.urls import InvalidTarget, parse_url
from sync.ledger.due import SENDABLE_AT, WAITS_TO_BE_SENT
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.overrides import override_rows
from sync.ledger.pauses import read_pauses
from sync.ledger.tables import ENDPOINT_STATE, OUTBOX
from sync.warehouse import Warehouse

Readiness = Callable[[Endpoint], Ready | NotReady]


def _unknown(endpoint: Endpoint) -> Ready:
    return Ready("", f"endpoint {endpoint.endpoint_id}")


# Anything but the host may be part of a token.
_HOST = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?+(?:[^/?#]*@)?+([a-z0-9.-]+)(?=[:/?#]|$)", re.IGNORECASE
)
_CONDITIONS = {
    Reason.ENDPOINT_INACTIVE: "inactive",
    Reason.ENDPOINT_DISABLED: "disabled",
    Reason.ENDPOINT_INVALID: "invalid",
    Reason.INVALID_TARGET: "invalid",
    Reason.SIGNING_KEY_MISSING: "no key",
    Reason.OAUTH_INCOMPLETE: "no credentials",
}


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One endpoint, its health and its load; times are naive UTC."""

    endpoint: Endpoint
    state: EndpointState
    waits: str | None
    """Why it temporarily gets nothing; None if it does not wait."""
    due: int
    """Webhooks that a run would claim now; none while it waits or is paused."""
    held: int
    not_ready: NotReady | None = None
    """Why a run would hold its webhooks."""
    pause: Pause | None = None
    """The pause that an operator has set."""
    override: Override | None = None
    """What an operator has set in place of the LMS's values."""

    @property
    def condition(self) -> str:
        """A word or two for people; ``why`` has the rest."""
        if self.not_ready is not None:
            return _CONDITIONS[self.not_ready.reason]
        if self.pause is not None:
            return "paused"
        if self.state.breaker_state is Breaker.CLOSED:
            return "ready" if self.waits is None else "asked to wait"
        return "breaker half-open" if self.waits is None else "breaker open"

    @property
    def why(self) -> str | None:
        """Why it gets nothing and what to do, and how it differs from the LMS."""
        texts = [self._why_nothing, self.override and str(self.override)]
        return ". ".join(text for text in texts if text) or None

    @property
    def _why_nothing(self) -> str | None:
        if self.not_ready is not None and self.not_ready.reason is Reason.ENDPOINT_DISABLED:
            return disabled_text(self.state)
        if self.not_ready is not None:
            return f"{self.not_ready.problem}. To do: {self.not_ready.reason.action}"
        if self.pause is not None:
            return str(self.pause)
        return self.waits

    def as_dict(self) -> dict[str, object]:
        """The same for JSON; no path of a URL, since it may hold a token."""
        return {
            "endpoint_id": self.endpoint.endpoint_id,
            "enterprise_customer_uuid": self.endpoint.enterprise_customer_uuid,
            "customer": self.endpoint.enterprise_customer_name,
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
            "disabled_by": self.state.disabled_by,
            "pause": self.pause and str(self.pause),
            "override": self.override and vars(self.override),
            "due": self.due,
            "held": self.held,
        }


def disabled_text(state: EndpointState) -> str:
    """Since when, by whom and why an endpoint is disabled, and what to do."""
    enable = f"`ltw endpoints enable {state.endpoint_id}`"
    match state.disabled_reason:
        case Reason.ENDPOINT_GONE:
            why = "after its own 410"
            what = (
                f"ask the customer for the new URL and set it in the LMS, then {enable} and "
                f"`ltw replay --state {State.DEAD} --reason {Reason.ENDPOINT_GONE} --endpoint "
                f"{state.endpoint_id}`"
            )
        case reason if reason == FAILING_TOO_LONG:
            why = "after five days of failures"
            what = f"`ltw endpoints check {state.endpoint_id}` shows what it returns; then {enable}"
        case reason:
            why, what = (
                f"by {state.disabled_by or 'an operator'}: {reason}",
                f"fix the cause, then {enable}",
            )
    at = "" if state.disabled_at is None else f" since {state.disabled_at:%Y-%m-%d %H:%M} UTC"
    return f"disabled{at} {why}. To do: {what}"


def waits_text(state: EndpointState, now: datetime) -> str:
    """Why and until when an endpoint that is blocked, but not disabled, gets nothing."""
    if state.paused_until is not None and state.paused_until > now:
        return f"its Retry-After asks to wait until {state.paused_until:%Y-%m-%d %H:%M:%S} UTC"
    return f"circuit breaker open, next probe at {state.next_probe_at:%Y-%m-%d %H:%M:%S} UTC"


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
    raise unknown_endpoint(endpoint_id, endpoints.by_id)


def unknown_endpoint(endpoint_id: int, known: Iterable[int]) -> ConfigurationError:
    """The error for an unknown id; it lists the known ones."""
    some = ", ".join(str(one) for one in sorted(known)[:20]) or "none at all"
    return ConfigurationError(
        f"no endpoint {endpoint_id} in marts.webhook_endpoints; it has {some}. If it was "
        f"deleted and created again, `ltw reroute --endpoint {endpoint_id}` shows what waits for "
        "it and moves it"
    )


def list_endpoints(
    warehouse: Warehouse,
    loaded: Endpoints,
    *,
    clock: Clock,
    readiness: Readiness = _unknown,
) -> list[Listed]:
    """Every readable one, by id; four statements. ``readiness`` is that of a delivery run."""
    endpoints = loaded.by_id
    states = EndpointStates(warehouse).load(endpoints)
    now = clock()
    pauses, overrides = read_pauses(warehouse, now), overrides_in_force(warehouse)
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
    listed = []
    for key, endpoint in sorted(endpoints.items()):
        state = states[key]
        waits = state.disabled_at is None and state.is_blocked_at(now)
        pause = pauses.of(key, endpoint.enterprise_customer_uuid)
        found = standing(endpoint, state, readiness_of=readiness, now=now)
        load = loads.get(key, {"due": 0, "held": 0})
        override = overrides.get(key)
        if override is not None and (
            override.enterprise_customer_uuid != endpoint.enterprise_customer_uuid
        ):
            override = None
        listed.append(
            Listed(
                endpoint=endpoint,
                state=state,
                waits=waits_text(state, now) if waits else None,
                due=int(load["due"]) if pause is None else 0,
                held=int(load["held"]),
                not_ready=found if isinstance(found, NotReady) else None,
                pause=pause,
                override=override,
            )
        )
    return listed


def overrides_in_force(warehouse: Warehouse) -> Mapping[int, Override]:
    """By endpoint; one statement."""
    return {int(row["endpoint_id"]): _override(row) for row in override_rows(warehouse)}


def _override(row: Mapping[str, Any]) -> Override:
    return Override(
        endpoint_id=int(row["endpoint_id"]),
        enterprise_customer_uuid=row["enterprise_customer_uuid"],
        host=None if row["url"] is None else host_of(row["url"]),
        timeout_seconds=None if row["timeout_seconds"] is None else int(row["timeout_seconds"]),
        reason=row["reason"],
        set_at=row["set_at"],
        set_by=row["set_by"],
        until=row["until_at"],
    )


def host_of(url: str) -> str:
    """The host of a URL for people; ``?`` if none can be read."""
    try:
        # Any port and scheme: this is for display, and the policy decides elsewhere.
        return parse_url(url, frozenset(), range(65_536)).host
    except InvalidTarget:
        found = _HOST.match(url)
        return found[1] if found else "?"
