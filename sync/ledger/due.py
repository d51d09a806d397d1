"""When a row can be sent, by its own time and its endpoint's, as one SQL expression."""

from __future__ import annotations

from sync.domain.pacing import HORIZON
from sync.domain.states import State

IS_OPEN = "{row}.next_attempt_at is not null"
"""The rows that may still need work: each has a time, and a finished row has none. A run's
statements filter on this, since the warehouse prunes every micro-partition in which the column is
NULL throughout, and nearly all rows are finished."""
WAITS_TO_BE_SENT = (
    f"({IS_OPEN} and ({{row}}.state = '{State.PENDING}'"
    f" or {{row}}.state = '{State.DELIVERED}' and {{row}}.replay_id is not null))"
)
"""The rows that ``SENDABLE_AT`` applies to: pending messages, and requested replays."""
SENDABLE_AT = f"""
    greatest(
        {{row}}.next_attempt_at,
        coalesce({{row}}.lease_expires_at, {{row}}.next_attempt_at),
        coalesce(
            iff({{endpoint}}.breaker_state = 'open', {{endpoint}}.next_probe_at, null),
            {{row}}.next_attempt_at
        ),
        coalesce({{endpoint}}.paused_until, {{row}}.next_attempt_at),
        coalesce(
            dateadd('second', -{int(HORIZON.total_seconds())}, {{endpoint}}.next_slot_at),
            {{row}}.next_attempt_at
        )
    )
"""
"""The earliest time at which a run could claim an outbox row that waits to be sent, given its
endpoint's row of ``endpoint_state``, if there is one: after another run's lease, the open time of
a circuit breaker and a pause, and once a slot of the rate is near enough to be taken. A disabled
endpoint has no such time; leave its rows out.
"""
