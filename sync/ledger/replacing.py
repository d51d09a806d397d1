"""A new row replaces older ones; of two rows created at once, only one ends the other."""

from __future__ import annotations

from datetime import datetime


def older_than(
    row_id: str | None, now: datetime, *, made_at: str, key: str
) -> tuple[str, tuple[str, ...]]:
    """The condition that a row is older than one made at ``now``, and its binds; empty without one.

    ``made_at`` and ``key`` are the columns of a row's time and id. The id breaks ties of time.
    """
    if row_id is None:
        return "", ()
    condition = f"""
        and (
            {made_at} < cast(? as timestamp_ntz)
            or {made_at} = cast(? as timestamp_ntz) and {key} < ?
        )
    """
    return condition, (now.isoformat(), now.isoformat(), row_id)
