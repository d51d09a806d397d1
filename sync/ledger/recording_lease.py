"""One run at a time records events of a type: a lease in the type's row of ``activations``.

Snowflake enforces no unique key, and two concurrent anti-joins see the same new rows. A scheduler
pool keeps runs apart only while it is configured, and does not cover the command line; the lease
covers every run.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.clock import Clock
from sync.ledger.tables import ACTIVATIONS
from sync.warehouse import NoResponse, StatementFailed, Warehouse

LEASE = timedelta(minutes=10)
"""Longer than a statement can run after its lease was taken: the connector repeats a lost one for
300 s (``network_timeout``), and the warehouse stops it 240 s after it arrived."""


@dataclass(frozen=True)
class Granted:
    """This run may record. ``condition``, with ``binds``, is SQL that is true as long as it may."""

    condition: str
    binds: tuple[str, ...]


@dataclass(frozen=True)
class TakenBy:
    """Another run is recording, or was killed while recording."""

    run_id: str
    until: datetime


@contextmanager
def recording_lease(
    warehouse: Warehouse, event_type: str, *, run_id: str, clock: Clock
) -> Iterator[Granted | TakenBy]:
    """Take the lease of an activated event type, and give it back at the end of the block.

    Taking it is not enough, since the row may exist twice (two first runs at once): the statement
    that records must include ``condition``, which is true for at most one run.

    A block that ends without a response from the warehouse keeps the lease: its statement may still
    be running.
    """
    activations = warehouse.relation("sync", ACTIVATIONS)
    owner = f"{run_id}:{uuid.uuid4()}"
    now = clock()
    taken = warehouse.execute(
        f"""
        update {activations}
        set
            lease_owner = ?,
            lease_expires_at = cast(? as timestamp_ntz),
            first_used_at = coalesce(first_used_at, cast(? as timestamp_ntz))
        where event_type = ?
            and (
                lease_expires_at is null
                or lease_expires_at < cast(? as timestamp_ntz)
                -- The connector repeats a statement whose response was lost.
                or lease_owner = ?
            )
        """,
        owner,
        (now + LEASE).isoformat(),
        now.isoformat(),
        event_type,
        now.isoformat(),
        owner,
    )
    if not taken:
        yield holder(warehouse, event_type, now=now)
        return
    try:
        yield Granted(
            f"""
            exists (
                select 1 from {activations} as mine
                where mine.event_type = ? and mine.lease_owner = ?
            )
            and not exists (
                select 1 from {activations} as another
                where another.event_type = ?
                    and another.lease_owner <> ?
                    and another.lease_expires_at >= cast(? as timestamp_ntz)
            )
            """,
            (event_type, owner, event_type, owner, now.isoformat()),
        )
    except NoResponse:
        raise
    except StatementFailed:
        with suppress(StatementFailed):
            _release(warehouse, activations, owner)
        raise
    _release(warehouse, activations, owner)


def _release(warehouse: Warehouse, activations: str, owner: str) -> None:
    warehouse.execute(
        f"update {activations} set lease_owner = null, lease_expires_at = null"
        " where lease_owner = ?",
        owner,
    )


def holder(warehouse: Warehouse, event_type: str, *, now: datetime) -> TakenBy:
    """The run that has the lease, or has just given it back."""
    rows = warehouse.rows(
        f"""
        select lease_owner, lease_expires_at
        from {warehouse.relation("sync", ACTIVATIONS)}
        where event_type = ? and lease_expires_at is not null
        order by lease_expires_at desc
        """,
        event_type,
    )
    if not rows:
        return TakenBy("a run that has just ended", now)
    return TakenBy(rows[0]["lease_owner"].rsplit(":", 1)[0], rows[0]["lease_expires_at"])
