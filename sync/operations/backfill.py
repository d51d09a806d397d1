"""Send completions from before the activation after all: chosen by a window, agreed to by number.

Detection records them as ``suppressed``, so that a first start sends nothing old. A backfill lets
the next run decide them like new ones. It takes no row that ever had a message.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sync.clock import Clock
from sync.domain.event_types import COMPLETIONS, EVENT_TYPES
from sync.domain.rollout import enterprise_uuids
from sync.domain.states import Reason, State
from sync.errors import ConfigurationError
from sync.ledger.tables import OUTBOX
from sync.operations.confirmation import require_confirmation
from sync.operations.operator_requests import not_yet_recorded, record_request, recorded_matches
from sync.warehouse import Warehouse

DEFAULT_LIMIT = 1_000
MOST = 100_000
"""Of one backfill: it is one UPDATE, and its webhooks are due at once."""
SAMPLE = 10


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which old events: those that happened in [since, until), naive UTC, oldest first.

    Raises:
        ConfigurationError: the window is empty, or the limit or the enterprise make no sense.
    """

    since: datetime
    until: datetime
    enterprise: str | None = None
    limit: int = DEFAULT_LIMIT
    event_type: str = COMPLETIONS.name

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise ConfigurationError("since must lie before until")
        if not 1 <= self.limit <= MOST:
            raise ConfigurationError(f"limit is {self.limit}; it must lie between 1 and {MOST}")
        if self.enterprise is not None:
            (spelled,) = enterprise_uuids([self.enterprise], setting="enterprise")
            object.__setattr__(self, "enterprise", spelled)

    def condition(self) -> tuple[str, tuple[object, ...]]:
        """The rows as SQL on a table called ``outbox``, and its binds."""
        parts = [
            f"outbox.state = '{State.SUPPRESSED}'",
            f"outbox.state_reason = '{Reason.BEFORE_ACTIVATION}'",
            "outbox.body is null",
            "outbox.event_type = ?",
            "outbox.occurred_at >= cast(? as timestamp_ntz)",
            "outbox.occurred_at < cast(? as timestamp_ntz)",
        ]
        binds: list[object] = [
            self.event_type,
            self.since.isoformat(),
            self.until.isoformat(),
        ]
        if self.enterprise is not None:
            parts.append("outbox.enterprise_customer_uuid = ?")
            binds.append(self.enterprise)
        return " and ".join(parts), tuple(binds)

    def as_json(self) -> str:
        """The window for the audit row."""
        return json.dumps(
            {
                "backfill": True,
                "event_type": self.event_type,
                "since": self.since.isoformat(),
                "until": self.until.isoformat(),
                "enterprise": self.enterprise,
                "limit": self.limit,
            }
        )


@dataclass(frozen=True, kw_only=True)
class BackfillPlan:
    """What a backfill would do now; nothing was changed."""

    matched: int
    """Events that would be sent: at most the limit."""
    beyond_limit: int
    """Further events of the window, for the next backfill."""
    gone: int
    """Suppressed events of the window that the marts no longer hold: consent or link withdrawn."""
    by_enterprise: Mapping[str, int]
    """Events of the window by customer, those beyond the limit included."""
    first_at: datetime | None
    last_at: datetime | None
    """Of the events that would be sent."""
    sample: Sequence[Mapping[str, Any]]
    """The first of them; no personal data."""


@dataclass(frozen=True)
class Backfill:
    """A backfill that was done; without an id when nothing matched."""

    backfill_id: str | None
    matched: int


def plan_backfill(warehouse: Warehouse, window: Window) -> BackfillPlan:
    """What ``backfill`` would do; three statements, all of them read only.

    Raises:
        StatementFailed: the ledger or the mart does not exist, or the warehouse refused.
    """
    condition, binds = window.condition()
    chosen = _chosen(warehouse, window)
    outbox = warehouse.relation("sync", OUTBOX)
    suppressed = warehouse.rows(
        f"select count(*) as n from {outbox} as outbox where {condition}", *binds
    )[0]["n"]
    by_enterprise = {
        row["enterprise_customer_uuid"]: int(row["n"])
        for row in warehouse.rows(
            f"""
            select enterprise_customer_uuid, count(*) as n from ({chosen}) as chosen
            group by enterprise_customer_uuid order by n desc, enterprise_customer_uuid
            """,
            *binds,
        )
    }
    in_window = sum(by_enterprise.values())
    matched = min(in_window, window.limit)
    rows = warehouse.rows(
        f"""
        select webhook_id, enterprise_customer_uuid, courserun_key, occurred_at, last_at
        from (
            select first.*, max(occurred_at) over () as last_at
            from (
                select * from ({chosen}) as chosen
                order by occurred_at, webhook_id limit {window.limit}
            ) as first
        ) as shown
        order by occurred_at, webhook_id
        limit {SAMPLE}
        """,
        *binds,
    )
    return BackfillPlan(
        matched=matched,
        beyond_limit=in_window - matched,
        gone=int(suppressed) - in_window,
        by_enterprise=by_enterprise,
        first_at=rows[0]["occurred_at"] if rows else None,
        last_at=rows[0]["last_at"] if rows else None,
        sample=[{name: row[name] for name in row if name != "last_at"} for row in rows],
    )


def backfill(
    warehouse: Warehouse,
    window: Window,
    *,
    requested_by: str,
    confirmed: int | None,
    setting: str,
    clock: Clock,
    backfill_id: str | None = None,
) -> Backfill:
    """Let the next run decide and send the chosen events; all of it or nothing.

    They become ``awaiting``, with this moment as ``recorded_at``, from which a wait for learning
    time counts. Their ids stay. The request is a
    row of ``sync.replays``, and ``recorded_run_id`` of each event names it.

    A ``backfill_id`` of the caller's makes repeating the call harmless: the first one counts.
    ``setting`` is what the caller calls the number in ``confirmed``.

    Raises:
        NotConfirmed: the number confirmed is not the number that match; nothing was changed.
        StatementFailed: the warehouse refused; nothing was changed.
    """
    known = recorded_matches(warehouse, backfill_id)
    if known is not None:
        return Backfill(backfill_id, known)
    made = backfill_id or str(uuid.uuid4())
    now = clock().isoformat()
    _, binds = window.condition()
    with warehouse.transaction():
        moved = warehouse.execute(
            f"""
            update {warehouse.relation("sync", OUTBOX)} as outbox
            set
                state = '{State.AWAITING}',
                state_reason = null,
                body_removed_at = null,
                recorded_at = cast(? as timestamp_ntz),
                recorded_run_id = ?,
                updated_at = cast(? as timestamp_ntz)
            from (
                select webhook_id from ({_chosen(warehouse, window)}) as chosen
                order by occurred_at, webhook_id limit {window.limit}
            ) as first
            where outbox.webhook_id = first.webhook_id
                and outbox.state = '{State.SUPPRESSED}'
                and outbox.body is null
                and {not_yet_recorded(warehouse)}
            """,
            now,
            made,
            now,
            *binds,
            made,
        )
        if not moved and (known := recorded_matches(warehouse, backfill_id)) is not None:
            return Backfill(backfill_id, known)
        require_confirmation(moved, confirmed, setting=setting)
        if moved:
            record_request(
                warehouse,
                made,
                requested_at=now,
                requested_by=requested_by,
                selection=window.as_json(),
                matched=moved,
            )
    return Backfill(made if moved else None, moved)


def _chosen(warehouse: Warehouse, window: Window) -> str:
    """A query for the window's rows that the mart still holds, each once.

    Consent may have been withdrawn since; the message is built from what the mart then says.
    """
    condition, _ = window.condition()
    mart = EVENT_TYPES[window.event_type].mart
    return f"""
        select
            outbox.webhook_id, outbox.enterprise_customer_uuid, outbox.courserun_key,
            outbox.occurred_at
        from {warehouse.relation("sync", OUTBOX)} as outbox
        inner join {warehouse.relation("marts", mart)} as seen
            on outbox.enterprise_customer_uuid = seen.enterprise_customer_uuid
            and outbox.user_id = seen.user_id
            and outbox.courserun_key = seen.courserun_key
        where {condition}
        qualify row_number() over (partition by outbox.webhook_id order by outbox.webhook_id) = 1
    """
