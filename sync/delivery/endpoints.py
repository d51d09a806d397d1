"""Endpoints as a run sees them: configuration from the mart, health from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sync.domain.endpoint import Endpoint, EndpointError, Region
from sync.domain.routing import NotRouted, Routed
from sync.domain.states import Reason
from sync.ledger.endpoint_settings import endpoints_with_settings
from sync.warehouse import Warehouse

REGIONS = {one.value for one in Region}
NOBODY = "nobody"
"""Whose a row is that names no enterprise."""


@dataclass(frozen=True)
class Endpoints:
    """Every configured endpoint; rows that cannot be read stand apart and stop nobody else."""

    by_enterprise: Mapping[str, Sequence[Endpoint]]
    unreadable: Mapping[str, str]
    """What is wrong, by enterprise: its completions must wait, not vanish."""
    broken_regions: frozenset[tuple[str | None, str | None]] = frozenset()
    """Enterprise and region of those rows that are on: no other endpoint stands in for them. None
    is any, where the row does not say."""

    @property
    def by_id(self) -> dict[int, Endpoint]:
        """The same endpoints by their id."""
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
    """Read the mart and the operator's settings.

    Raises:
        StatementFailed: the mart was never built.
    """
    return read_endpoints(endpoints_with_settings(warehouse))


def read_endpoints(rows: Iterable[Mapping[str, Any]]) -> Endpoints:
    """Read rows of the mart with the operator's settings."""
    endpoints: dict[str, list[Endpoint]] = {}
    unreadable: dict[str, str] = {}
    broken: set[tuple[str | None, str | None]] = set()
    for row in rows:
        try:
            endpoint = Endpoint.from_row(row)
        except EndpointError as error:
            enterprise = str(row["enterprise_customer_uuid"] or NOBODY)
            unreadable[enterprise] = str(error)
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
    return Endpoints(endpoints, unreadable, frozenset(broken))


def unusable_endpoints(
    in_use: Iterable[int],
    *,
    configured: Mapping[int, Endpoint],
    disabled: Iterable[int],
    problem_of: Callable[[Endpoint], Reason | None],
) -> dict[int, Reason]:
    """Endpoints that cannot be sent to now, with the reason to hold their webhooks for."""
    switched_off = set(disabled)
    found = {
        key: why_held(configured.get(key), is_disabled=key in switched_off, problem_of=problem_of)
        for key in in_use
    }
    return {key: reason for key, reason in found.items() if reason is not None}


def why_held(
    endpoint: Endpoint | None,
    *,
    is_disabled: bool,
    problem_of: Callable[[Endpoint], Reason | None],
) -> Reason | None:
    """Why the messages of an endpoint are held; None when it can be sent to. None exists no more.

    ``problem_of`` looks at what lies outside the warehouse: the address policy and the secrets.
    """
    if endpoint is None:
        return Reason.ENDPOINT_MISSING
    if not endpoint.is_active:
        return Reason.ENDPOINT_INACTIVE
    return Reason.ENDPOINT_DISABLED if is_disabled else problem_of(endpoint)
