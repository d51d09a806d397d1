"""What a preview reads: completions as the next run would find them, over a read-only session."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sync.delivery.build import PAGE
from sync.delivery.current_facts import (
    FROZEN_AND_HELD,
    NEVER_SENT_AND_LOST,
    frozen_and_held,
    outbox_and_endpoints,
    read_with_facts,
    undecided,
    undecided_sources,
)
from sync.delivery.record import select_new
from sync.domain.event_types import EVENT_TYPES, EventType
from sync.domain.states import State
from sync.errors import SyncError
from sync.ledger.claims import DUE
from sync.ledger.outbox import Unfrozen
from sync.ledger.tables import OUTBOX
from sync.warehouse import Warehouse


class WriteRefused(SyncError):
    """A preview was about to change something: a fault of this program."""


class ReadOnly(Warehouse):
    """A session that passes queries on and refuses everything else."""

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__(warehouse.settings, warehouse._connection)

    def _run(self, sql: str, binds: tuple[object, ...]) -> Any:
        # Neither engine takes a common table expression in front of a statement that writes.
        if sql.lstrip().split(maxsplit=1)[0].lower() not in ("select", "with"):
            raise WriteRefused("a preview only reads")
        return super()._run(sql, binds)


def new_rows(
    session: ReadOnly, source: EventType, *, since: datetime, now: datetime, limit: int
) -> list[Unfrozen]:
    """What the next detection would insert to be sent: the first ``limit`` rows, by id."""
    query, binds = select_new(session, since=since, now=now, run_id="preview", source=source)
    first = f"""
        select new.*, null as lost_endpoint_id from ({query}) as new
        where state = '{State.AWAITING}'
        order by webhook_id
        limit {int(limit)}
    """
    return read_with_facts(session, source, first, *binds)


def undecided_rows(session: ReadOnly) -> list[Unfrozen]:
    """Recorded rows without a message, read as the next run reads them.

    Raises:
        MartUnreadable: as that run would.
    """
    return [
        row
        for source in undecided_sources(session)
        for page in undecided(session, source, page=PAGE)
        for row in page
    ]


def frozen_rows(
    session: ReadOnly, *, now: datetime, limit: int
) -> tuple[int, list[dict[str, Any]]]:
    """How many frozen messages are due or could be released, and the first ``limit`` of them."""
    outbox = session.relation("sync", OUTBOX)
    moments = [now.isoformat()] * 3
    where = f"""
        (
            {DUE.format(row="outbox")}
            or outbox.state = '{State.HELD}'
            and outbox.body is not null
            and outbox.next_attempt_at <= cast(? as timestamp_ntz)
        )
        and not {NEVER_SENT_AND_LOST.format(row="outbox")}
    """
    rows_of = outbox_and_endpoints(session)
    held = session.rows(
        f"select distinct event_type from {outbox} as outbox"
        f" where {FROZEN_AND_HELD.format(row='outbox')}"
    )
    seen = " union all ".join(
        frozen_and_held(session, EVENT_TYPES[row["event_type"]]) for row in held
    )
    count = session.rows(f"select count(*) as n from {rows_of} where {where}", *moments)
    rows = session.rows(
        f"""
        select
            outbox.webhook_id, outbox.event_type, outbox.enterprise_customer_uuid,
            outbox.courserun_key, outbox.region, outbox.endpoint_id, outbox.payload_format,
            outbox.body, outbox.enrichment_outcome, outbox.learning_time_seconds, outbox.replay_id,
            {"coalesce(seen.is_gone, false)" if held else "false"} as is_gone
        from {rows_of}
        {f"left join ({seen}) as seen on outbox.webhook_id = seen.webhook_id" if held else ""}
        where {where}
        order by outbox.next_attempt_at, outbox.webhook_id
        limit {int(limit)}
        """,
        *moments,
    )
    return int(count[0]["n"]), rows
