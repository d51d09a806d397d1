"""Send again what was sent or given up, or send what was suppressed: same id, same body bytes.

A request is one row of ``sync.replays`` and one UPDATE, in one transaction: a crash leaves both or
neither, and the webhooks it marked are sent by the next delivery run, through the one send path.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sync.clock import Clock
from sync.delivery.current_facts import MartUnreadable, seen_now
from sync.domain.event_types import EVENT_TYPES
from sync.domain.states import Reason, State
from sync.errors import SyncError
from sync.ledger.erasures import IS_ERASED
from sync.ledger.tables import OUTBOX
from sync.operations.operator_requests import not_yet_recorded, record_request, recorded_matches
from sync.operations.replay_selection import ReplayState, Selection
from sync.warehouse import NoResponse, StatementFailed, Warehouse

SAMPLE = 10
"""Rows that a plan shows."""


class Refusal(StrEnum):
    """Why a selected row is not replayed."""

    ERASED = "erased"
    BODY_REMOVED = "body_removed"
    NOT_FROZEN = "not_frozen"
    NEVER_SENT = "never_sent"
    ALREADY_DUE = "already_due"
    HELD = "held"
    ENDPOINT_MISSING = "endpoint_missing"
    NO_LONGER_REPORTABLE = "no_longer_reportable"

    @property
    def text(self) -> str:
        """The reason and the way out, for an operator."""
        return _TEXTS[self]


_TEXTS = {
    Refusal.ERASED: "the learner was erased for ever, see docs/erasure.md",
    Refusal.BODY_REMOVED: "retention has removed the body, and another one may never be built",
    Refusal.NOT_FROZEN: "the message is not frozen yet; the next run decides it",
    Refusal.NEVER_SENT: "suppressed; to send it after all, ask for the state suppressed",
    Refusal.ALREADY_DUE: "it waits to be sent already",
    Refusal.HELD: "held until its cause is fixed; the next run after that sends it",
    Refusal.ENDPOINT_MISSING: (
        "its endpoint was deleted: make one for the customer and the next run sends what was never "
        "tried; `ltw reroute` moves what was tried to the new endpoint"
    ),
    Refusal.NO_LONGER_REPORTABLE: (
        "the marts no longer hold the event: consent, link, customer, account or row is gone; "
        "repeat the replay if it comes back"
    ),
}


class ReplayGrew(SyncError):
    """More rows match now than were agreed to; nothing was changed."""


@dataclass(frozen=True)
class Plan:
    """What a selection would do; nothing was changed."""

    matched: int
    by_endpoint: Mapping[int | None, int]
    refused: Mapping[Refusal, int]
    unknown_ids: int
    """Ids given that the outbox does not hold."""
    sample: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    """The first rows; no personal data."""


@dataclass(frozen=True)
class Replay:
    """A request as it was recorded; without an id when nothing matched."""

    replay_id: str | None
    matched: int


_VERDICT = f"""
    case
        when {IS_ERASED.format(row="outbox")} then '{Refusal.ERASED}'
        when outbox.body_removed_at is not null and outbox.frozen_at is not null
            then '{Refusal.BODY_REMOVED}'
        when outbox.state = '{State.AWAITING}' then '{Refusal.NOT_FROZEN}'
        when outbox.state = '{State.HELD}' and outbox.state_reason = '{Reason.ENDPOINT_MISSING}'
            then '{Refusal.ENDPOINT_MISSING}'
        when outbox.state = '{State.HELD}' then '{Refusal.HELD}'
        when outbox.state = '{State.PENDING}'
            or outbox.state = '{State.DELIVERED}' and outbox.replay_id is not null
            then '{Refusal.ALREADY_DUE}'
        {{unless_released}}
        when outbox.state in ('{State.DEAD}', '{State.DELIVERED}') and outbox.body is null
            then '{Refusal.NOT_FROZEN}'
        else 'ok'
    end
"""


_WAS_BUILT = f"{{row}}.state in ('{State.DEAD}', '{State.DELIVERED}') and {{row}}.body is not null"


def plan_replay(warehouse: Warehouse, selection: Selection) -> Plan:
    """What ``replay`` would do with this selection now; reads only.

    Raises:
        MartUnreadable: the mart that says whether an event may still be reported cannot be read.
        StatementFailed: the ledger cannot be read.
    """
    condition, binds = selection.condition()
    outbox = warehouse.relation("sync", OUTBOX)
    verdict = _verdict(selection)
    verdict = f"""
        iff(
            {verdict} = 'ok' and gone.webhook_id is not null,
            '{Refusal.NO_LONGER_REPORTABLE}', {verdict}
        )
    """
    seen = f"""
        {outbox} as outbox
        left join ({_gone(warehouse, selection)}) as gone
            on outbox.webhook_id = gone.webhook_id
    """
    counts = warehouse.rows(
        f"""
        select verdict, endpoint_id, count(*) as n
        from (
            select {verdict} as verdict, outbox.endpoint_id from {seen}
            where {condition}
        ) as judged
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
    matched = sum(by_endpoint.values())
    return Plan(
        matched=matched,
        by_endpoint=by_endpoint,
        refused=refused,
        unknown_ids=_unknown_ids(warehouse, selection),
        sample=sample,
    )


def replay(
    warehouse: Warehouse,
    selection: Selection,
    *,
    requested_by: str,
    clock: Clock,
    at_most: int | None = None,
    replay_id: str | None = None,
) -> Replay:
    """Mark the selected webhooks to be sent and record who asked; all of it or nothing.

    A dead row starts a fresh schedule. A delivered row stays delivered and gets one more try,
    whatever comes of it. A suppressed row is decided anew; its ``recorded_at`` stays, so it waits
    for learning time only if that was a short time ago. The fence is raised, so that a late result
    from before the request cannot undo it. A message whose event the marts no longer hold is not
    replayed, as none is built or released.

    ``at_most`` is the number that was agreed to. A ``replay_id`` of the caller's makes repeating
    the call harmless: the first one counts.

    Raises:
        ReplayGrew: more than ``at_most`` rows match by now; nothing was changed.
        MartUnreadable: the mart that says whether an event may still be reported cannot be read.
        StatementFailed: the warehouse refused; nothing was changed.
    """
    known = recorded_matches(warehouse, replay_id)
    if known is not None:
        return Replay(replay_id, known)
    made = replay_id or str(uuid.uuid4())
    now = clock().isoformat()
    condition, binds = selection.condition()
    gone = _gone(warehouse, selection)
    with warehouse.transaction():
        matched = warehouse.execute(
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
                and {_verdict(selection)} = 'ok'
                and outbox.webhook_id not in ({gone})
                and {not_yet_recorded(warehouse)}
            """,
            made,
            now,
            now,
            *binds,
            made,
        )
        if at_most is not None and matched > at_most:
            raise ReplayGrew(
                f"{matched} webhooks match by now, {at_most} were agreed to; look again and repeat"
            )
        if matched:
            record_request(
                warehouse,
                made,
                requested_at=now,
                requested_by=requested_by,
                selection=selection.as_json(),
                matched=matched,
            )
    if not matched and (known := recorded_matches(warehouse, replay_id)) is not None:
        return Replay(replay_id, known)
    return Replay(made if matched else None, matched)


def _verdict(selection: Selection) -> str:
    if selection.state is ReplayState.SUPPRESSED:
        return _VERDICT.format(unless_released="")
    return _VERDICT.format(
        unless_released=f"when outbox.state = '{State.SUPPRESSED}' then '{Refusal.NEVER_SENT}'"
    )


def _gone(warehouse: Warehouse, selection: Selection) -> str:
    """A query for the ids of built messages whose event the marts no longer hold; its marts are
    read once, so that one which is missing is named."""
    outbox = warehouse.relation("sync", OUTBOX)
    condition, binds = selection.condition()
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


def _unknown_ids(warehouse: Warehouse, selection: Selection) -> int:
    if not selection.webhook_ids:
        return 0
    wanted = set(selection.webhook_ids)
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
