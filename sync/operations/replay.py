"""Send again what was sent or given up, or send what was suppressed: same id, same body bytes.

A request is one row of ``sync.replays`` and one UPDATE, in one transaction: a crash leaves both or
neither, and the webhooks it marked are sent by the next delivery run, through the one send path.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from sync.clock import Clock
from sync.delivery.events import MartUnreadable, described, seen_now
from sync.domain.states import Reason, State
from sync.ledger.erasures import IS_ERASED
from sync.ledger.tables import OUTBOX
from sync.operations.operation import (
    ARGUMENT,
    SAMPLE,
    Change,
    CommandLine,
    Enterprise,
    Plan,
    Timestamp,
    not_yet_recorded,
)
from sync.operations.refusals import Refusal, refusal_lines
from sync.warehouse import NoResponse, StatementFailed, Warehouse

MAX_IDS = 10_000
"""Ids in one request: about 400 kB of binds."""

_IS_GIVEN = (
    "outbox.webhook_id in (select value::varchar from table(flatten(input => parse_json(?))))"
)
_WAS_BUILT = f"""
    {{row}}.state in ('{State.DEAD}', '{State.DELIVERED}')
    and {{row}}.build_id is not null
    and {{row}}.body_removed_at is null
"""


class ReplayState(StrEnum):
    """States that can be replayed. Rows in any other are about to be sent anyway, or wait."""

    DEAD = State.DEAD.value
    DELIVERED = State.DELIVERED.value
    SUPPRESSED = State.SUPPRESSED.value


class Window(StrEnum):
    """The time that ``since`` and ``until`` are compared with."""

    RECORDED = "recorded_at"
    DELIVERED = "delivered_at"


class Replay(Change):
    """Send webhooks again: same id, same body. The next delivery run sends them.

    All conditions given must match. A dead webhook starts a new retry schedule; a delivered one
    stays delivered and gets one more attempt; a suppressed one is decided again.
    """

    name: ClassVar[str] = "replay"
    results: ClassVar[tuple[str, str]] = ("replay_id", "replayed")

    webhook_ids: Annotated[list[str], ARGUMENT] = Field(
        default=[], max_length=MAX_IDS, description="Only these webhooks."
    )
    state: ReplayState | None = Field(
        default=None,
        description=f"{', '.join(ReplayState)}; required unless webhook ids are given.",
    )
    state_reason: Annotated[str | None, CommandLine("--reason")] = Field(
        default=None,
        description=f"Only with this state_reason, such as {Reason.ATTEMPTS_EXHAUSTED}.",
    )
    endpoint_id: Annotated[int | None, CommandLine("--endpoint")] = Field(
        default=None, description="Only webhooks of this endpoint."
    )
    enterprise: Enterprise | None = Field(
        default=None, description="Only webhooks of this customer; its UUID."
    )
    since: Timestamp | None = Field(default=None, description="At or after this time, ISO 8601.")
    until: Timestamp | None = Field(default=None, description="Before this time, ISO 8601.")
    window: Annotated[Window, CommandLine("--by")] = Field(
        default=Window.RECORDED,
        description="What since and until are compared with: recorded_at or delivered_at.",
    )

    @model_validator(mode="after")
    def _selects_something(self) -> Self:
        if not self.webhook_ids and self.state is None:
            raise ValueError(
                f"a replay without webhook ids needs a state: {', '.join(ReplayState)}"
            )
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("since must be before until")
        return self

    def plan(self, warehouse: Warehouse, clock: Clock) -> Plan:
        """By endpoint, and why the others are refused.

        Raises:
            MartUnreadable: the mart that says whether an event may still be reported cannot be
                read.
            StatementFailed: the ledger cannot be read.
        """
        condition, binds = self._condition()
        decided = f"""
            select
                outbox.*,
                iff(
                    {self._verdict()} = 'ok' and gone.webhook_id is not null,
                    '{Refusal.NO_LONGER_REPORTABLE}', {self._verdict()}
                ) as verdict
            from {warehouse.relation("sync", OUTBOX)} as outbox
            left join ({self._gone(warehouse)}) as gone
                on outbox.webhook_id = gone.webhook_id
            where {condition}
        """
        by_endpoint: Counter[int | None] = Counter()
        refused: Counter[Refusal] = Counter()
        for row in warehouse.rows(
            f"""
            select verdict, endpoint_id, count(*) as n from ({decided}) as decided
            group by verdict, endpoint_id
            order by verdict, endpoint_id
            """,
            *binds,
        ):
            if row["verdict"] == "ok":
                key = None if row["endpoint_id"] is None else int(row["endpoint_id"])
                by_endpoint[key] += int(row["n"])
            else:
                refused[Refusal(row["verdict"])] += int(row["n"])
        sample = warehouse.rows(
            f"""
            select webhook_id, state, state_reason, endpoint_id, recorded_at, delivered_at
            from ({decided}) as decided
            where verdict = 'ok'
            order by recorded_at, webhook_id
            limit {SAMPLE}
            """,
            *binds,
        )
        unknown_ids, lines = self._unknown_ids(warehouse), refusal_lines(refused, verb="replayed")
        if unknown_ids:
            lines.append(f"{unknown_ids:,} ids are not in the outbox")
        return Plan(
            matched=by_endpoint.total(),
            is_refused=not by_endpoint and bool(refused or unknown_ids),
            document={
                "by_endpoint": {str(key): count for key, count in by_endpoint.items()},
                "refused": dict(refused),
                "unknown_ids": unknown_ids,
                "sample": sample,
            },
            lines=lines,
            tables={
                "by_endpoint": [
                    {"endpoint": "none yet" if key is None else str(key), "webhooks": count}
                    for key, count in by_endpoint.items()
                ],
                "sample": sample,
            },
        )

    def move(self, warehouse: Warehouse, request_id: str, now: datetime) -> int:
        """Mark the selected webhooks to be sent.

        ``recorded_at`` of a suppressed row stays, so it waits for learning time only if it was
        recorded recently. The fence is raised, so that a late result from before the request cannot
        undo it. A message whose event the marts no longer hold is not replayed, as it would not be
        built or released either.
        """
        condition, binds = self._condition()
        gone = self._gone(warehouse)
        return warehouse.execute(
            f"""
            update {warehouse.relation("sync", OUTBOX)} as outbox
            set
                replay_id = ?,
                state = case
                    when outbox.state = '{State.DEAD}' then '{State.PENDING}'
                    when outbox.state = '{State.SUPPRESSED}' then '{State.AWAITING}'
                    else outbox.state
                end,
                state_reason = null,
                attempt_count = iff(outbox.state = '{State.DEAD}', 0, outbox.attempt_count),
                next_attempt_at = cast(? as timestamp_ntz),
                -- Without a message it was never claimed, and no late result can come.
                fence = outbox.fence + iff(outbox.build_id is null, 0, 1),
                lease_owner = null,
                lease_expires_at = null,
                updated_at = cast(? as timestamp_ntz)
            where {condition}
                and {self._verdict()} = 'ok'
                and outbox.webhook_id not in ({gone})
                and {not_yet_recorded(warehouse)}
            """,
            request_id,
            now.isoformat(),
            now.isoformat(),
            *binds,
            request_id,
        )

    def _condition(self) -> tuple[str, tuple[object, ...]]:
        """The conditions as SQL on a table called ``outbox``, and its binds."""
        parts, binds = ["true"], []
        if self.webhook_ids:
            parts.append(_IS_GIVEN)
            binds.append(json.dumps(self.webhook_ids))
        for column, value in (
            ("endpoint_id", self.endpoint_id),
            ("enterprise_customer_uuid", self.enterprise),
            ("state", self.state and self.state.value),
            ("state_reason", self.state_reason),
        ):
            if value is not None:
                parts.append(f"outbox.{column} = ?")
                binds.append(value)
        for operator, limit in ((">=", self.since), ("<", self.until)):
            if limit is not None:
                parts.append(f"outbox.{self.window.value} {operator} cast(? as timestamp_ntz)")
                binds.append(limit.isoformat())
        return " and ".join(parts), tuple(binds)

    def _verdict(self) -> str:
        """SQL: ``ok`` or a ``Refusal``, without what the marts say."""
        unless_asked_for = (
            ""
            if self.state is ReplayState.SUPPRESSED
            else f"when outbox.state = '{State.SUPPRESSED}' then '{Refusal.SUPPRESSED}'"
        )
        return f"""
            case
                when {IS_ERASED.format(row="outbox")} then '{Refusal.ERASED}'
                when outbox.body_removed_at is not null then '{Refusal.BODY_REMOVED}'
                when outbox.state = '{State.AWAITING}' then '{Refusal.NOT_BUILT}'
                when outbox.state = '{State.HELD}'
                    and outbox.state_reason = '{Reason.ENDPOINT_MISSING}'
                    then '{Refusal.ENDPOINT_MISSING}'
                when outbox.state = '{State.HELD}' then '{Refusal.HELD}'
                when outbox.state = '{State.PENDING}'
                    or outbox.state = '{State.DELIVERED}' and outbox.replay_id is not null
                    then '{Refusal.ALREADY_DUE}'
                {unless_asked_for}
                when outbox.state in ('{State.DEAD}', '{State.DELIVERED}')
                    and outbox.build_id is null
                    then '{Refusal.NOT_BUILT}'
                else 'ok'
            end
        """

    def _gone(self, warehouse: Warehouse) -> str:
        """A query for the ids of built messages whose event the marts no longer hold; each mart is
        read once first, so that a missing one is named."""
        outbox = warehouse.relation("sync", OUTBOX)
        condition, binds = self._condition()
        kinds = warehouse.rows(
            f"""
            select distinct outbox.event_type from {outbox} as outbox
            where {condition} and {_WAS_BUILT.format(row="outbox")}
            """,
            *binds,
        )
        queries = [f"select webhook_id from {outbox} where false"]
        for event_type in sorted(row["event_type"] for row in kinds):
            source = described(event_type)
            query = f"""
                select seen.webhook_id from ({seen_now(warehouse, source, _WAS_BUILT)}) as seen
                where seen.is_gone
            """
            try:
                warehouse.rows(f"{query} limit 1")
            except NoResponse:
                raise
            except StatementFailed as error:
                raise MartUnreadable(source, error) from error
            queries.append(query)
        return " union all ".join(queries)

    def _unknown_ids(self, warehouse: Warehouse) -> int:
        if not self.webhook_ids:
            return 0
        wanted = set(self.webhook_ids)
        return len(wanted) - warehouse.value(
            f"""
            select count(distinct outbox.webhook_id) as n
            from {warehouse.relation("sync", OUTBOX)} as outbox
            where {_IS_GIVEN}
            """,
            json.dumps(sorted(wanted)),
        )
