"""Endpoints as a run sees them: configuration from the mart, health from the ledger."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sync.delivery.formats import known_formats
from sync.domain.circuit_breaker import EndpointState
from sync.domain.destination import NotReady, Ready
from sync.domain.endpoint import Endpoint, EndpointError, Region
from sync.domain.formats import Formats
from sync.domain.routing import NotRouted, Routed
from sync.domain.states import Reason
from sync.ledger.endpoint_settings import endpoints_with_settings
from sync.warehouse import Warehouse

REGIONS = {one.value for one in Region}
OVERRIDDEN = ("url", "timeout_seconds")
"""LMS values that an operator may override temporarily."""
NOBODY = "nobody"
"""The enterprise of a row that names none."""


@dataclass(frozen=True)
class Endpoints:
    """Every configured endpoint; rows that cannot be read are kept apart and affect no other."""

    by_enterprise: Mapping[str, Sequence[Endpoint]]
    unreadable: Mapping[str, str]
    """What is wrong, by enterprise: its completions must wait, not be lost."""
    broken_regions: frozenset[tuple[str | None, str | None]] = frozenset()
    """Enterprise and region of the unreadable rows that are switched on: no other endpoint replaces
    them. None matches any, where the row does not name one."""
    formats: Formats = field(default_factory=Formats)
    """The formats that the rows were read with: all that this process knows."""
    problems: Mapping[int, str] = field(default_factory=dict)
    """What is wrong, by the id of an endpoint whose row cannot be read."""

    @property
    def by_id(self) -> dict[int, Endpoint]:
        """The endpoints by id."""
        return {one.endpoint_id: one for many in self.by_enterprise.values() for one in many}

    def is_own_broken(self, enterprise_customer_uuid: str, route: Routed) -> bool:
        """Whether a route leads elsewhere only because the endpoint of the region is unreadable."""
        return route.is_fallback and any(
            (enterprise, region) in self.broken_regions
            for enterprise in (enterprise_customer_uuid, None)
            for region in (route.region.value, None)
        )

    def problem_of(self, enterprise_customer_uuid: str, route: Routed | NotRouted) -> str | None:
        """What is wrong with the row that should have given the route; None when nothing is."""
        own = self.unreadable.get(enterprise_customer_uuid)
        match route:
            case NotRouted():
                return own
            case Routed():
                is_broken = self.is_own_broken(enterprise_customer_uuid, route)
                return (own or self.unreadable[NOBODY]) if is_broken else None


def load_endpoints(warehouse: Warehouse) -> Endpoints:
    """Read the mart, the operator's settings, and what overrides the LMS now.

    Raises:
        StatementFailed: the mart was never built.
    """
    return read_endpoints(endpoints_with_settings(warehouse), known_formats(os.environ))


def read_endpoints(rows: Iterable[Mapping[str, Any]], formats: Formats | None = None) -> Endpoints:
    """Read rows of the mart with the operator's settings. ``formats`` defaults to the built-in
    ones."""
    formats = formats or Formats()
    endpoints: dict[str, list[Endpoint]] = {}
    unreadable: dict[str, str] = {}
    broken: set[tuple[str | None, str | None]] = set()
    problems: dict[int, str] = {}
    for given in rows:
        row = dict(given)
        for name in OVERRIDDEN:
            if (value := row.pop(f"override_{name}", None)) is not None:
                row[name] = value
        try:
            endpoint = Endpoint.from_row(row, formats)
        except EndpointError as error:
            enterprise = str(row["enterprise_customer_uuid"] or NOBODY)
            unreadable[enterprise] = problems[row["endpoint_id"]] = str(error)
            if row.get("is_active") is not False:
                region = row.get("region")
                broken.add(
                    (
                        row["enterprise_customer_uuid"],
                        region if region in REGIONS else None,
                    )
                )
        else:
            endpoints.setdefault(endpoint.enterprise_customer_uuid, []).append(endpoint)
    return Endpoints(endpoints, unreadable, frozenset(broken), formats, problems)


def standing(
    endpoint: Endpoint | None,
    state: EndpointState,
    *,
    readiness_of: Callable[[Endpoint], Ready | NotReady],
    now: datetime,
    problem: str | None = None,
) -> Ready | NotReady:
    """Whether the messages of an endpoint can be sent to it, or are held and why.

    An ``endpoint`` of None was deleted, or has a ``problem`` that keeps it from being read.
    ``readiness_of`` checks what is outside the warehouse: addresses and secrets.
    """
    if endpoint is None and problem is not None:
        return NotReady(Reason.ENDPOINT_ROW_INVALID, problem)
    if endpoint is None:
        return NotReady(Reason.ENDPOINT_MISSING, "it is not in marts.webhook_endpoints")
    if not endpoint.is_active:
        return NotReady(Reason.ENDPOINT_INACTIVE, "it is switched off in the LMS")
    if state.disabled_at is not None:
        return NotReady(Reason.ENDPOINT_DISABLED, f"it is disabled: {state.disabled_reason}")
    found = readiness_of(endpoint)
    if isinstance(found, Ready) and state.is_refused(found.target, now):
        return NotReady(
            Reason.INVALID_TARGET,
            "an address of its host is refused by the address rules; it is checked again once its "
            "settings have changed, or hourly",
        )
    return found
