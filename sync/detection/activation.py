"""From when on events of a type are sent: decided once, by the first run."""

from __future__ import annotations

from datetime import datetime

from sync.clock import Clock
from sync.detection.event_sources import COMPLETIONS, EventSource
from sync.ledger.tables import ACTIVATIONS
from sync.warehouse import Warehouse


def activate(
    warehouse: Warehouse,
    *,
    clock: Clock,
    activated_at: datetime | None,
    source: EventSource = COMPLETIONS,
) -> datetime:
    """When deliveries began: the recorded moment, or ``activated_at``, or now at the first call.

    The first call decides for ever; a later, different ``activated_at`` is ignored on purpose, so
    that a run with a forgotten setting cannot resurrect the past.
    """
    found = recorded_activation(warehouse, source=source)
    if found is not None:
        return found
    moment = activated_at or clock()
    warehouse.execute(
        f"insert into {warehouse.relation('sync', ACTIVATIONS)}"
        " (event_type, activated_at, recorded_at)"
        " select ?, cast(? as timestamp_ntz), cast(? as timestamp_ntz)",
        source.event_type.value,
        moment.isoformat(),
        clock().isoformat(),
    )
    return moment


def recorded_activation(
    warehouse: Warehouse, *, source: EventSource = COMPLETIONS
) -> datetime | None:
    """When deliveries began; None before the first run."""
    return warehouse.rows(
        f"select min(activated_at) as activated_at from {warehouse.relation('sync', ACTIVATIONS)}"
        " where event_type = ?",
        source.event_type.value,
    )[0]["activated_at"]
