"""Send again what was sent or given up, or send what was suppressed: same id, same body bytes.

A request is one row of ``sync.replays`` and one UPDATE, in one transaction: a crash leaves both or
neither, and the webhooks it marked are sent by the next delivery run, through the one send path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from sync.clock import Clock
from sync.delivery.events import MartUnreadable, seen_now
from sync.domain.event_types import EVENT_TYPES
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
    Rows,
    Timestamp,
    not_yet_recorded,
)
from sync.warehouse import NoResponse, StatementFailed, Warehouse

MAX_IDS = 10_000
"""Ids in one request: about 400 kB of binds."""


class ReplayState(StrEnum):
    """States that can be replayed. Rows in any other are about to be sent anyway, or wait."""

    DEAD = State.DEAD.value
    DELIVERED = State.DELIVERED.value
    SUPPRESSED = State.SUPPRESSED.value


class Window(StrEnum):
    """The time that ``since`` and ``until`` are compared with."""

    RECORDED = "recorded_at"
    DELIVERED = "delivered_at"


class Refusal(StrEnum):
    """Why a selected row is not replayed."""

    ERASED = "erased"
    BODY_REMOVED = "body_removed"
    NOT_BUILT = "not_built"
    NEVER_SENT = "never_sent"
    ALREADY_DUE = "already_due"
    HELD = "held"
    ENDPOINT_MISSING = "endpoint_missing"
    NO_LONGER_REPORTABLE = "no_longer_reportable"

    @property
    def text(self) -> str:
        """The reason and what to do, for an operator."""
        return _TEXTS[self]


_TEXTS = {
    Refusal.ERASED: "the learner was erased for good, see docs/erasure.md",
    Refusal.BODY_REMOVED: "retention has removed the body, and another one may never be built",
    Refusal.NOT_BUILT: "the message is not built yet; the next run decides about it",
    Refusal.NEVER_SENT: "suppressed; to send it after all, select the state suppressed",
    Refusal.ALREADY_DUE: "it is already due to be sent",
    Refusal.HELD: "held until its cause is fixed; the next run after that sends it",
    Refusal.ENDPOINT_MISSING: (
        "its endpoint was deleted: create one for the customer and the next run sends what was "
        "never tried; `ltw reroute` moves what was tried to the new endpoint"
    ),
    Refusal.NO_LONGER_REPORTABLE: (
        "the marts no longer hold the event: consent, link, customer, account or row is gone; "
        "repeat the replay if it comes back"
    ),
}


@dataclass(frozen=True, kw_only=True)
class ReplayPlan(Plan):
    """What a replay would do now."""

    by_endpoint: Mapping[int | None, int]
    refused: Mapping[Refusal, int]
    unknown_ids: int
    """Ids given that the outbox does not hold."""
    sample: Rows
    """The first rows."""

    @property
    def is_refused(self) -> bool:
        """Whether there was something, and all of it was refused."""
        return not self.matched and bool(self.refused or self.unknown_ids)

    def document(self) -> dict[str, Any]:
        """The same for machines."""
        return vars(self) | {
            "by_endpoint": {str(key): count for key, count in self.by_endpoint.items()},
            "replay_id": None,
            "replayed": 0,
        }

    def lines(self) -> list[str]:
        """What is left out, and why."""
        said = [
            f"{count:,} not replayed ({refusal}): {refusal.text}"
            for refusal, count in self.refused.items()
        ]
        if self.unknown_ids:
            said.append(f"{self.unknown_ids:,} ids are not in the outbox")
        return said

    def tables(self) -> dict[str, Rows]:
        """By endpoint, what is refused, and the sample."""
        return {
            "by_endpoint": [
                {"endpoint": "none yet" if key is None else str(key), "webhooks": count}
                for key, count in self.by_endpoint.items()
            ],
            "sample": [
                {
                    "webhook_id": row["webhook_id"],
                    "state": row["state"],
                    "reason": row["state_reason"] or "",
                    "endpoint": "" if row["endpoint_id"] is None else str(row["endpoint_id"]),
                    "recorded_or_delivered": f"{at:%Y-%m-%d %H:%M:%S}",
                }
                for row in self.sample
                for at in [row["delivered_at"] or row["recorded_at"]]
            ],
        }


class Replay(Change):
    """Send webhooks again: same id, same body. The next delivery run sends them.

    Every condition given must hold. A dead webhook starts a fresh schedule; a delivered one stays
    delivered and gets one more attempt; a suppressed one is decided anew.
    """

    name: ClassVar[str] = "replay"
    changed_name: ClassVar[str] = "replayed"

    webhook_ids: Annotated[list[str], ARGUMENT] = Field(
        default=[], max_length=MAX_IDS, description="Only these webhooks."
    )
    state: ReplayState | None = Field(
        default=None,
        description=f"{', '.join(ReplayState)}; required unless webhook ids are given.",
    )
    state_reason: Annotated[str | None, CommandLine("--reason")] = Field(
        default=None, description="Only with this state_reason, such as attempts_exhausted."
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

    def plan(self, warehouse: Warehouse, clock: Clock) -> ReplayPlan:
        """What ``apply`` would do now; reads only.

        Raises:
            MartUnreadable: the mart that says whether an event may still be reported cannot be
                read.
            StatementFailed: the ledger cannot be read.
        """
        condition, binds = self._condition()
        outbox = warehouse.relation("sync", OUTBOX)
        verdict = self._verdict()
        verdict = f"""
            iff(
                {verdict} = 'ok' and gone.webhook_id is not null,
                '{Refusal.NO_LONGER_REPORTABLE}', {verdict}
            )
        """
        seen = f"""
            {outbox} as outbox
            left join ({self._gone(warehouse)}) as gone
                on outbox.webhook_id = gone.webhook_id
        """
        counts = warehouse.rows(
            f"""
            select verdict, endpoint_id, count(*) as n
            from (
                select {verdict} as verdict, outbox.endpoint_id from {seen}
                where {condition}
            ) as decided
            group by verdict, endpoint_id
            order by verdict, endpoint_id
            """,
            *binds,
        )
        sample = warehouse.rows(
            f"""
            select
                outbox.webhook_id, outbox.state, outbox.state_reason, outbox.endpoint_id,
                outbox.recorded_at, outbox.delivered_at
            from {seen}
            where {condition} and {verdict} = 'ok'
            order by outbox.recorded_at, outbox.webhook_id
            limit {SAMPLE}
            """,
            *binds,
        )
        refused: dict[Refusal, int] = {}
        by_endpoint: dict[int | None, int] = {}
        for row in counts:
            endpoint_id = None if row["endpoint_id"] is None else int(row["endpoint_id"])
            if row["verdict"] == "ok":
                by_endpoint[endpoint_id] = int(row["n"])
            else:
                reason = Refusal(row["verdict"])
                refused[reason] = refused.get(reason, 0) + int(row["n"])
        return ReplayPlan(
            matched=sum(by_endpoint.values()),
            by_endpoint=by_endpoint,
            refused=refused,
            unknown_ids=self._unknown_ids(warehouse),
            sample=sample,
        )

    def move(self, warehouse: Warehouse, request_id: str, now: datetime) -> int:
        """Mark the selected webhooks to be sent.

        ``recorded_at`` of a suppressed row stays, so it waits for learning time only if that was a
        short time ago. The fence is raised, so that a late result from before the request cannot
        undo it. A message whose event the marts no longer hold is not replayed, as none is built
        or released.
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
                next_attempt_at = iff(
                    outbox.state = '{State.SUPPRESSED}', null, cast(? as timestamp_ntz)
                ),
                -- Without a message it was never claimed, and no late result can come.
                fence = outbox.fence + iff(outbox.body is null, 0, 1),
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
            parts.append(
                "outbox.webhook_id in"
                " (select value::varchar from table(flatten(input => parse_json(?))))"
            )
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
        if self.state is ReplayState.SUPPRESSED:
            return _VERDICT.format(unless_released="")
        return _VERDICT.format(
            unless_released=f"when outbox.state = '{State.SUPPRESSED}' then '{Refusal.NEVER_SENT}'"
        )

    def _gone(self, warehouse: Warehouse) -> str:
        """A query for the ids of built messages whose event the marts no longer hold; its marts
        are read once, so that one which is missing is named."""
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
            source = EVENT_TYPES[event_type]
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
        rows = warehouse.rows(
            f"""
            select count(distinct outbox.webhook_id) as n
            from {warehouse.relation("sync", OUTBOX)} as outbox
            where outbox.webhook_id in
                (select value::varchar from table(flatten(input => parse_json(?))))
            """,
            json.dumps(sorted(wanted)),
        )
        return len(wanted) - int(rows[0]["n"])


_VERDICT = f"""
    case
        when {IS_ERASED.format(row="outbox")} then '{Refusal.ERASED}'
        when outbox.body_removed_at is not null and outbox.frozen_at is not null
            then '{Refusal.BODY_REMOVED}'
        when outbox.state = '{State.AWAITING}' then '{Refusal.NOT_BUILT}'
        when outbox.state = '{State.HELD}' and outbox.state_reason = '{Reason.ENDPOINT_MISSING}'
            then '{Refusal.ENDPOINT_MISSING}'
        when outbox.state = '{State.HELD}' then '{Refusal.HELD}'
        when outbox.state = '{State.PENDING}'
            or outbox.state = '{State.DELIVERED}' and outbox.replay_id is not null
            then '{Refusal.ALREADY_DUE}'
        {{unless_released}}
        when outbox.state in ('{State.DEAD}', '{State.DELIVERED}') and outbox.body is null
            then '{Refusal.NOT_BUILT}'
        else 'ok'
    end
"""


_WAS_BUILT = f"{{row}}.state in ('{State.DEAD}', '{State.DELIVERED}') and {{row}}.body is not null"
