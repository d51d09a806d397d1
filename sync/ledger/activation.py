"""From when on events of a type are sent: decided once, by the first run."""

from __future__ import annotations

import uuid
from datetime import datetime

from sync.clock import Clock
from sync.domain.event_types import COURSE_COMPLETION
from sync.ledger.tables import ACTIVATIONS
from sync.warehouse import Warehouse

STANDING = "first_used_at nulls last, activated_at"
"""The order of rows of one event type; the first one counts.

Two first runs may each insert a row, and the second may come late. So the one under which events
were recorded first (``recording_lease`` notes when) stands, whatever comes after it; before that
the earliest time.
"""


def activate(
    warehouse: Warehouse,
    *,
    clock: Clock,
    activated_at: datetime | None,
    event_type: str = COURSE_COMPLETION,
) -> datetime:
    """When deliveries began: the recorded time, or ``activated_at``, or now at the first call.

    The first call decides for ever; a later, different ``activated_at`` is ignored on purpose, so
    that a run with a forgotten setting cannot resurrect the past. Of two first calls at the same
    time one counts for both, see ``STANDING``.
    """
    found = recorded_activation(warehouse, event_type=event_type)
    if found is not None:
        return found
    now = clock()
    activations = warehouse.relation("sync", ACTIVATIONS)
    warehouse.execute(
        f"""
        insert into {activations} (event_type, activated_at, recorded_at, row_id)
        select new.*
        from (
            select
                cast(? as varchar) as event_type,
                cast(? as timestamp_ntz) as activated_at,
                cast(? as timestamp_ntz) as recorded_at,
                cast(? as varchar) as row_id
        ) as new
        where not exists (
            select 1 from {activations} as known where known.event_type = new.event_type
        )
        """,
        event_type,
        (activated_at or now).isoformat(),
        now.isoformat(),
        str(uuid.uuid4()),
    )
    # Another run's, where that was first.
    return recorded_activation(warehouse, event_type=event_type) or activated_at or now


def recorded_activation(
    warehouse: Warehouse, *, event_type: str = COURSE_COMPLETION
) -> datetime | None:
    """When deliveries began; None before the first run."""
    return warehouse.value(
        f"select activated_at from {warehouse.relation('sync', ACTIVATIONS)}"
        f" where event_type = ? order by {STANDING} limit 1",
        event_type,
    )
