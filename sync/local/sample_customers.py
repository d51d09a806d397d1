"""Replica rows of the sample data's customers: enterprises, identity providers, endpoints."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from sync.local.sample_people import Customer, CustomerKind

Tables = dict[str, list[dict[str, Any]]]

WAVES = 2
_WORKING = (
    ("Example Industries", "US", ("US", "EU", "OTHER")),
    ("Sample Foods", "GB", ("OTHER",)),
    ("Fable Logistics", "DE", ("EU", "OTHER")),
)
_TROUBLED: tuple[tuple[str, CustomerKind], ...] = (
    ("Quiet Harbor Bank", "no_endpoint"),
    ("Broken Gate Media", "bad_url"),
    ("Rainy Day Insurance", "failing_endpoint"),
    ("Closed Doors Retail", "inactive"),
)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A webhook configuration. ``name`` is unique, and the last segment of its URL."""

    endpoint_id: int
    name: str
    url: str
    region: str
    enterprise_customer_uuid: str
    """With hyphens, as the marts have it."""


@dataclass(kw_only=True)
class Rows:
    """Rows by wave and table, numbered per table over both waves."""

    tables: tuple[Tables, ...] = field(
        default_factory=lambda: tuple(defaultdict(list) for _ in range(WAVES))
    )
    _ids: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, table: str, /, *, wave: int = 0, **values: Any) -> int:
        """Append a row under the next id; the id."""
        self._ids[table] += 1
        self.tables[wave][table].append({"id": self._ids[table], **values})
        return self._ids[table]

    def add_keyed(self, table: str, /, **values: Any) -> None:
        """Append a row of a table whose key the caller gives, to the first wave."""
        self.tables[0][table].append(values)


@dataclass(kw_only=True)
class CustomerRows:
    """Adds customers and all that hangs on them to the first wave."""

    rows: Rows
    rng: Random
    created: datetime
    receiver_url: str
    customers: list[Customer] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)

    def add_all(self, working: int) -> None:
        """``working`` customers with good endpoints, then one of each troubled kind."""
        for index in range(working):
            name, country, regions = _WORKING[index % len(_WORKING)]
            lap = index // len(_WORKING)
            self._add_customer(f"{name} {lap + 1}" if lap else name, country, "working", regions)
        for name, kind in _TROUBLED:
            self._add_customer(name, None, kind, () if kind == "no_endpoint" else ("OTHER",))

    def _add_customer(
        self, name: str, country: str | None, kind: CustomerKind, regions: tuple[str, ...]
    ) -> None:
        customer = Customer(
            uuid=uuid.UUID(int=self.rng.getrandbits(128), version=4).hex,
            name=name,
            slug=name.lower().replace(" ", "-"),
            country=country,
            kind=kind,
            regions=regions,
        )
        self.customers.append(customer)
        self.rows.add_keyed(
            "enterprise_enterprisecustomer",
            uuid=customer.uuid,
            created=self.created,
            modified=self.created,
            name=name,
            slug=customer.slug,
            active=kind != "inactive",
            country=country,
            enable_data_sharing_consent=True,
            enforce_data_sharing_consent="at_enrollment",
            enable_audit_enrollment=False,
            enable_audit_data_reporting=False,
        )
        self.rows.add(
            "enterprise_enterprisecustomeridentityprovider",
            enterprise_customer_id=customer.uuid,
            provider_id=f"saml-{customer.slug}",
        )
        for region in regions:
            self._add_endpoint(customer, region)

    def _add_endpoint(self, customer: Customer, region: str) -> None:
        name = f"{customer.slug}-{region.lower()}"
        url = {
            "bad_url": "htp:/broken gate.example.com",
            "failing_endpoint": f"{self.receiver_url}/status/503/{name}",
        }.get(customer.kind, f"{self.receiver_url}/hooks/{name}")
        endpoint_id = self.rows.add(
            "channel_integration_enterprisewebhookconfiguration",
            created=self.created,
            modified=self.created,
            enterprise_customer_id=customer.uuid,
            region=region,
            webhook_url=url,
            webhook_token_url=None,
            webhook_timeout_seconds=30,
            webhook_retry_attempts=3,
            max_requests_per_minute=100,
            active=True,
            enable_enrollment_events_processing=True,
            client_id=None,
        )
        self.endpoints.append(
            Endpoint(
                endpoint_id=endpoint_id,
                name=name,
                url=url,
                region=region,
                enterprise_customer_uuid=str(uuid.UUID(customer.uuid)),
            )
        )
