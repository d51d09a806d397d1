"""Messages: the bytes that were built for an event, in rows that are written once.

They are kept apart from the outbox, whose rows change several times each: an UPDATE rewrites whole
micro-partitions, so rows that change are kept small (docs.snowflake.com/en/user-guide/
tables-clustering-micropartitions).

A build writes its messages first, under its own id, and then points the outbox at them with one
conditional UPDATE. A message is valid if and only if its outbox row names its build. So of two
builds of one event one is valid, and a message that no row points at was never sent.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime

from sync.ledger.due import IS_OPEN
from sync.ledger.tables import MESSAGES, OUTBOX
from sync.warehouse import Warehouse, json_rows

OF_ROW = """
    {row}.webhook_id = messages.webhook_id and {row}.build_id = messages.build_id
"""
"""The condition that ``messages`` is the message of an outbox row."""


def new_build_id(now: datetime) -> str:
    """A unique build id. Ids increase with time, so a range of them is in few micro-partitions."""
    return f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"


def write_messages(
    warehouse: Warehouse, build_id: str, rows: Iterable[Mapping[str, object]], *, now: datetime
) -> None:
    """Store a build's messages before any outbox row names the build. Idempotent.

    Rows have ``webhook_id`` and the columns below as JSON. Rows decided or erased since they were
    read are left out.
    """
    messages = warehouse.relation("sync", MESSAGES)
    made = json_rows(
        text="webhook_id body enrichment_outcome",
        number="learning_time_seconds",
        time="learning_time_computed_through",
    )
    warehouse.bulk(
        f"""
        insert into {messages} (
            webhook_id, build_id, body, frozen_at, enrichment_outcome, learning_time_seconds,
            learning_time_computed_through
        )
        select
            made.webhook_id, cast(? as varchar), made.body, cast(? as timestamp_ntz),
            made.enrichment_outcome, made.learning_time_seconds, made.learning_time_computed_through
        from {made} as made
        where exists (
            select 1 from {warehouse.relation("sync", OUTBOX)} as outbox
            where outbox.webhook_id = made.webhook_id and {IS_OPEN.format(row="outbox")}
        )
        and not exists (
            select 1 from {messages} as known
            where known.webhook_id = made.webhook_id and known.build_id = ?
        )
        """,
        rows,
        before=(build_id, now.isoformat()),
        after=(build_id,),
    )


def bodies_of(
    warehouse: Warehouse, owner: str, rows: Iterable[Mapping[str, object]]
) -> dict[str, bytes]:
    """The bodies of the rows that are leased by ``owner``, by webhook id; one statement.

    ``rows`` are those rows, with their ``build_id``.
    """
    builds = sorted(str(row["build_id"]) for row in rows if row["build_id"] is not None)
    if not builds:
        return {}
    found = warehouse.rows(
        f"""
        select messages.webhook_id, messages.body
        from {warehouse.relation("sync", MESSAGES)} as messages
        inner join {warehouse.relation("sync", OUTBOX)} as outbox
            on {OF_ROW.format(row="outbox")}
        where outbox.lease_owner = ?
            and messages.body is not null
            and messages.build_id >= ?
            and messages.build_id <= ?
        """,
        owner,
        builds[0],
        builds[-1],
    )
    return {row["webhook_id"]: row["body"].encode("utf-8") for row in found}
