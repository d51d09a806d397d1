"""When a row can be sent: its own time, and that of its endpoint, as one expression of SQL."""

from __future__ import annotations

from sync.domain.pacing import HORIZON
from sync.domain.states import State

IS_OPEN = "{row}.next_attempt_at is not null"
"""The rows that a run may still have something to do with: each has a time, and a finished row has
none. Statements of a run ask for this, since a warehouse reads nothing of a micro-partition in
which the column is NULL throughout, and finished rows are nearly all there are."""
WAITS_TO_BE_SENT = (
    f"({IS_OPEN} and ({{row}}.state = '{State.PENDING}'"
    f" or {{row}}.state = '{State.DELIVERED}' and {{row}}.replay_id is not null))"
)
"""The rows that ``SENDABLE_AT`` is about: messages, and what an operator wants sent once more."""
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
"""The earliest time at which a run could claim the row, for a row of the outbox that waits to be
sent and the row of ``endpoint_state`` of its endpoint, if there is one: after the lease of another
run, the rest of an open breaker and a pause, and once a slot of the rate is near enough to be
taken. An endpoint that is disabled has no such time; leave its rows out.
"""
