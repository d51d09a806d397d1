"""The activation time of an event type: events from then on are sent. The first run decides it."""

from __future__ import annotations

import uuid
from datetime import datetime

from sync.clock import Clock
from sync.domain.event_types import COURSE_COMPLETION
from sync.ledger.tables import ACTIVATIONS
from sync.warehouse import Warehouse

STANDING = "first_used_at nulls last, activated_at"
"""The order of rows of one event type; the first row applies.

Two first runs may each insert a row, and the second may arrive late. So the row under which events
were first recorded applies (``recording_lease`` notes when), whatever is inserted later; until
then, the row with the earliest time.
"""


def activate(
    warehouse: Warehouse,
    *,
    clock: Clock,
    activated_at: datetime | None,
    event_type: str = COURSE_COMPLETION,
) -> datetime:
    """The activation time: the recorded one, else ``activated_at``, else the time of this call.

    The first call decides permanently. A later, different ``activated_at`` is ignored on purpose: a
    run with a forgotten setting must not send old events. If two first calls run at the same time,
    one row applies to both, see ``STANDING``.
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
    # Another run's row, if that run was first.
    return recorded_activation(warehouse, event_type=event_type) or activated_at or now


def recorded_activation(
    warehouse: Warehouse, *, event_type: str = COURSE_COMPLETION
) -> datetime | None:
    """The recorded activation time; None before the first run."""
    return warehouse.value(
        f"select activated_at from {warehouse.relation('sync', ACTIVATIONS)}"
        f" where event_type = ? order by {STANDING} limit 1",
        event_type,
    )
