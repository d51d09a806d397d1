"""The operator's settings for endpoints. Rows are only added; the newest per endpoint applies."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sync.clock import Clock
from sync.domain.endpoint import EndpointSettings
from sync.ledger.overrides import in_force
from sync.ledger.tables import ENDPOINT_SETTINGS
from sync.warehouse import Warehouse

COLUMNS = tuple(EndpointSettings.model_fields)
NEWEST = f"updated_at desc nulls last, {', '.join(COLUMNS)}"
"""The order of an endpoint's rows; the first one applies."""


def endpoints_with_settings(warehouse: Warehouse) -> list[dict[str, Any]]:
    """The rows of the endpoints mart, with the operator's settings in addition to the LMS's, and
    any active override: ``override_url`` and ``override_timeout_seconds``; by id.

    Raises:
        StatementFailed: the mart was never built.
    """
    return warehouse.rows(
        f"""
        select
            endpoints.*,
            {", ".join(f"settings.{name}" for name in COLUMNS)},
            overrides.url as override_url,
            overrides.timeout_seconds as override_timeout_seconds
        from {warehouse.relation("marts", "webhook_endpoints")} as endpoints
        left join {newest_settings(warehouse)} as settings
            on endpoints.endpoint_id = settings.endpoint_id
        left join ({in_force(warehouse)}) as overrides
            on endpoints.endpoint_id = overrides.endpoint_id
            -- An id may be another customer's by now.
            and endpoints.enterprise_customer_uuid = overrides.enterprise_customer_uuid
        order by endpoints.endpoint_id
        """
    )


def newest_settings(warehouse: Warehouse) -> str:
    """The row that applies for each endpoint, as a query in parentheses."""
    return f"""(
            select endpoint_id, {", ".join(COLUMNS)}
            from {warehouse.relation("sync", ENDPOINT_SETTINGS)}
            qualify row_number() over (partition by endpoint_id order by {NEWEST}) = 1
        )"""


def is_asked_for(warehouse: Warehouse, event_type: str) -> bool:
    """Whether any endpoint has ever asked for events of this type; one statement over a table of
    dozens of rows."""
    return bool(
        warehouse.rows(
            f"select 1 from {warehouse.relation('sync', ENDPOINT_SETTINGS)}"
            " where position(? in event_types) > 0 limit 1",
            event_type,
        )
    )


def settings_rows(warehouse: Warehouse, endpoint_id: int) -> list[dict[str, Any]]:
    """All rows of an endpoint, the one that applies first."""
    return warehouse.rows(
        f"""
        select {", ".join(COLUMNS)}, updated_at, row_id
        from {warehouse.relation("sync", ENDPOINT_SETTINGS)}
        where endpoint_id = ?
        order by {NEWEST}
        """,
        endpoint_id,
    )


def add_settings(
    warehouse: Warehouse,
    endpoint_id: int,
    settings: EndpointSettings,
    *,
    clock: Clock,
    above: Sequence[Mapping[str, Any]],
) -> str:
    """Add a row that applies from now on, even if another clock was ahead; returns its id."""
    now = clock()
    newest = above[0]["updated_at"] if above else None
    if newest is not None and newest >= now:
        now = newest + timedelta(microseconds=1)
    row_id = str(uuid.uuid4())
    values = settings.stored()
    binds = ", ".join(
        "cast(? as boolean)" if isinstance(value, bool) else "nullif(?, '')"
        for value in values.values()
    )
    warehouse.execute(
        f"""
        insert into {warehouse.relation("sync", ENDPOINT_SETTINGS)} (
            endpoint_id, updated_at, row_id, {", ".join(values)}
        )
        select ?, cast(? as timestamp_ntz), ?, {binds}
        """,
        endpoint_id,
        now.isoformat(),
        row_id,
        *values.values(),
    )
    return row_id
