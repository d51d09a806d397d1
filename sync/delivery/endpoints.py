"""Endpoints as a run sees them: configuration from the mart, health from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sync.domain.endpoint import Endpoint, EndpointError, Region
from sync.domain.routing import Routed
from sync.domain.states import Reason
from sync.ledger.endpoint_settings import endpoints_with_settings
from sync.warehouse import Warehouse

REGIONS = {one.value for one in Region}


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


def load_endpoints(warehouse: Warehouse) -> Endpoints:
    """Read the mart and the operator's settings.

    Raises:
        StatementFailed: the mart was never built.
    """
    endpoints: dict[str, list[Endpoint]] = {}
    unreadable: dict[str, str] = {}
    broken: set[tuple[str | None, str | None]] = set()
    for row in endpoints_with_settings(warehouse):
        try:
            endpoint = Endpoint.from_row(row)
        except EndpointError as error:
            enterprise = str(row["enterprise_customer_uuid"])
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
    """Endpoints that cannot be sent to now, with the reason to hold their webhooks for.

    ``problem_of`` looks at what lies outside the warehouse: the address policy and the secrets.
    """
    switched_off = set(disabled)
    unusable: dict[int, Reason] = {}
    for endpoint_id in in_use:
        endpoint = configured.get(endpoint_id)
        if endpoint is None:
            reason = Reason.ENDPOINT_MISSING
        elif not endpoint.is_active:
            reason = Reason.ENDPOINT_INACTIVE
        elif endpoint_id in switched_off:
            reason = Reason.ENDPOINT_DISABLED
        else:
            reason = problem_of(endpoint)
        if reason is not None:
            unusable[endpoint_id] = reason
    return unusable
