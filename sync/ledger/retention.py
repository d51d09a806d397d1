"""Empty columns with personal data after some time; keep ids, states and numbers permanently.

The ids must stay: they keep a completion from being sent twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.clock import Clock
from sync.domain.states import FINISHED, State, sql_list
from sync.errors import ConfigurationError
from sync.ledger.erasures import empty_erased_messages
from sync.ledger.messages import OF_ROW
from sync.ledger.tables import ATTEMPTS, MESSAGES, OUTBOX
from sync.warehouse import Warehouse

DEFAULT_DAYS = 90
BATCH = 50_000
"""Rows per statement: a statement that takes minutes would lock out delivery runs."""


@dataclass(frozen=True)
class RetentionReport:
    """What was emptied, or would be."""

    cutoff: datetime
    """Rows last changed before this time, naive UTC."""
    bodies: int
    excerpts: int


_FINISHED = f"""
    {{row}}.state in {sql_list(FINISHED)}
    and not ({{row}}.state = '{State.DELIVERED}' and {{row}}.replay_id is not null)
    and {{row}}.build_id is not null
    and {{row}}.body_removed_at is null
    and {{row}}.updated_at < cast(? as timestamp_ntz)
"""
_OLD_EXCERPT = "{row}.response_excerpt is not null and {row}.started_at < cast(? as timestamp_ntz)"


def apply_retention(
    warehouse: Warehouse,
    *,
    clock: Clock,
    days: int = DEFAULT_DAYS,
    dry_run: bool = False,
    batch: int = BATCH,
) -> RetentionReport:
    """Empty bodies of finished webhooks, and response excerpts, older than ``days``.

    Rows yet to be sent are never touched, nor are rows with a replay due. A webhook's age counts
    from its last change, so a replay keeps its body for another ``days``. Each statement on rows
    empties at most ``batch``; an interruption loses nothing.

    Raises:
        ConfigurationError: less than a day, within which a webhook may still be in delivery.
    """
    if days < 1:
        raise ConfigurationError(f"days is {days}; it must be at least 1")
    now = clock()
    cutoff = now - timedelta(days=days)
    outbox = warehouse.relation("sync", OUTBOX)
    attempts = warehouse.relation("sync", ATTEMPTS)
    timestamp = cutoff.isoformat()
    if dry_run:
        finished = _FINISHED.format(row="outbox")
        old = _OLD_EXCERPT.format(row="attempts")
        return RetentionReport(
            cutoff,
            warehouse.value(f"select count(*) from {outbox} as outbox where {finished}", timestamp),
            warehouse.value(f"select count(*) from {attempts} as attempts where {old}", timestamp),
        )
    bodies = excerpts = 0
    # First mark the rows as without a message, so that no replay can request it any more.
    while emptied := warehouse.execute(
        f"""
        update {outbox} as outbox
        set
            body_removed_at = cast(? as timestamp_ntz),
            updated_at = cast(? as timestamp_ntz)
        where outbox.webhook_id in (
            select old.webhook_id from {outbox} as old
            where {_FINISHED.format(row="old")}
            order by old.updated_at, old.webhook_id
            limit {int(batch)}
        )
        and {_FINISHED.format(row="outbox")}
        """,
        now.isoformat(),
        now.isoformat(),
        timestamp,
        timestamp,
    ):
        bodies += emptied
    # Then the messages, including those that no row ever pointed at. Builds only insert there, and
    # an UPDATE does not block inserts, so this is one statement.
    warehouse.execute(
        f"""
        update {warehouse.relation("sync", MESSAGES)} as messages
        set body = null
        where messages.body is not null
            and messages.frozen_at < cast(? as timestamp_ntz)
            and not exists (
                select 1 from {outbox} as outbox
                where {OF_ROW.format(row="outbox")} and outbox.body_removed_at is null
            )
        """,
        timestamp,
    )
    empty_erased_messages(warehouse)
    while emptied := warehouse.execute(
        f"""
        update {attempts} as attempts
        set response_excerpt = null
        where attempts.webhook_id in (
            select old.webhook_id from {attempts} as old
            where {_OLD_EXCERPT.format(row="old")}
            order by old.started_at, old.webhook_id
            limit {int(batch)}
        )
        and {_OLD_EXCERPT.format(row="attempts")}
        """,
        timestamp,
        timestamp,
    ):
        excerpts += emptied
    return RetentionReport(cutoff, bodies, excerpts)
