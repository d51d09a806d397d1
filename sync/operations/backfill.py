"""Send completions from before the activation: selected by a time window, confirmed by count.

Detection records them as ``suppressed``, so the first run sends nothing old. A backfill lets the
next run decide about them as if they were new. It skips rows that ever had a message.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from pydantic import Field, model_validator

from sync.clock import Clock
from sync.domain.event_types import COURSE_COMPLETION, completions
from sync.domain.states import Reason, State
from sync.ledger.tables import OUTBOX
from sync.operations.operation import (
    SAMPLE,
    Change,
    Enterprise,
    Plan,
    Timestamp,
    not_yet_recorded,
)
from sync.warehouse import Warehouse

MOST = 100_000
"""Per backfill: it is one UPDATE, and its webhooks are due immediately."""


class Backfill(Change):
    """Send completions from before the activation. Shows them first; confirm the count to send.

    They are recorded as suppressed and were never sent. Their webhook ids stay the same.
    """

    name: ClassVar[str] = "backfill"
    noun: ClassVar[str] = "completions"
    ask_above: ClassVar[int | None] = None
    results: ClassVar[tuple[str, str]] = ("backfill_id", "released")

    since: Timestamp = Field(description="Completed at or after this time, ISO 8601.")
    until: Timestamp = Field(description="Completed before this time, ISO 8601.")
    enterprise: Enterprise | None = Field(
        default=None, description="Only completions of this customer; its UUID."
    )
    limit: int = Field(default=1_000, ge=1, le=MOST, description="At most this many, oldest first.")

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        if self.since >= self.until:
            raise ValueError("since must be before until")
        return self

    def plan(self, warehouse: Warehouse, clock: Clock) -> Plan:
        """The count in the window, by customer, and the time range; three statements."""
        condition, binds = self._condition()
        chosen = self._chosen(warehouse)
        suppressed = warehouse.value(
            f"select count(*) as n from {warehouse.relation('sync', OUTBOX)} as outbox"
            f" where {condition}",
            *binds,
        )
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
        rows = warehouse.rows(
            f"""
            select webhook_id, enterprise_customer_uuid, courserun_key, occurred_at, last_at
            from (
                select first.*, max(occurred_at) over () as last_at
                from (
                    select * from ({chosen}) as chosen
                    order by occurred_at, webhook_id limit {self.limit}
                ) as first
            ) as shown
            order by occurred_at, webhook_id
            limit {SAMPLE}
            """,
            *binds,
        )
        in_window = sum(by_enterprise.values())
        matched = min(in_window, self.limit)
        beyond_limit, gone = in_window - matched, suppressed - in_window
        first_at = rows[0]["occurred_at"] if rows else None
        last_at = rows[0]["last_at"] if rows else None
        sample = [{name: row[name] for name in row if name != "last_at"} for row in rows]
        lines = []
        if first_at and last_at:
            lines.append(
                f"completed from {first_at:%Y-%m-%d %H:%M} to {last_at:%Y-%m-%d %H:%M} UTC"
            )
        if beyond_limit:
            lines.append(f"{beyond_limit:,} more are beyond the limit")
        if gone:
            lines.append(
                f"{gone:,} are no longer in the marts (consent or link gone) and are not sent"
            )
        return Plan(
            matched=matched,
            document={
                "beyond_limit": beyond_limit,
                "gone": gone,
                "by_enterprise": by_enterprise,
                "first_at": first_at,
                "last_at": last_at,
                "sample": sample,
            },
            lines=lines,
            tables={
                "by_enterprise": [
                    {"enterprise": enterprise, "completions": count}
                    for enterprise, count in by_enterprise.items()
                ],
                "sample": sample,
            },
        )

    def move(self, warehouse: Warehouse, request_id: str, now: datetime) -> int:
        """Let the next run decide about the selected completions and send them.

        They are to be built again, recorded now, so a wait for learning time starts now.
        ``recorded_run_id`` holds the id of the request.
        """
        _, binds = self._condition()
        return warehouse.execute(
            f"""
            update {warehouse.relation("sync", OUTBOX)} as outbox
            set
                state = '{State.AWAITING}',
                state_reason = null,
                body_removed_at = null,
                recorded_at = cast(? as timestamp_ntz),
                next_attempt_at = cast(? as timestamp_ntz),
                recorded_run_id = ?,
                updated_at = cast(? as timestamp_ntz)
            from (
                select webhook_id from ({self._chosen(warehouse)}) as chosen
                order by occurred_at, webhook_id limit {self.limit}
            ) as first
            where outbox.webhook_id = first.webhook_id
                and outbox.state = '{State.SUPPRESSED}'
                and outbox.build_id is null
                and {not_yet_recorded(warehouse)}
            """,
            now.isoformat(),
            now.isoformat(),
            request_id,
            now.isoformat(),
            *binds,
            request_id,
        )

    def _condition(self) -> tuple[str, tuple[object, ...]]:
        """The SQL condition on a table called ``outbox``, and its binds."""
        condition = f"""
            outbox.state = '{State.SUPPRESSED}'
            and outbox.state_reason = '{Reason.BEFORE_ACTIVATION}'
            and outbox.build_id is null
            and outbox.event_type = '{COURSE_COMPLETION}'
            and outbox.occurred_at >= cast(? as timestamp_ntz)
            and outbox.occurred_at < cast(? as timestamp_ntz)
            and coalesce(outbox.enterprise_customer_uuid = ?, true)
        """
        return condition, (self.since.isoformat(), self.until.isoformat(), self.enterprise)

    def _chosen(self, warehouse: Warehouse) -> str:
        """A query for the window's rows that the mart still holds, each once.

        Consent may be withdrawn later; the message is built from what the mart holds at that time.
        """
        condition, _ = self._condition()
        return f"""
            select
                outbox.webhook_id, outbox.enterprise_customer_uuid, outbox.courserun_key,
                outbox.occurred_at
            from {warehouse.relation("sync", OUTBOX)} as outbox
            inner join {warehouse.relation("marts", completions().mart)} as seen
                on outbox.enterprise_customer_uuid = seen.enterprise_customer_uuid
                and outbox.user_id = seen.user_id
                and outbox.courserun_key = seen.courserun_key
            where {condition}
            qualify row_number() over (
                partition by outbox.webhook_id order by outbox.webhook_id
            ) = 1
        """
