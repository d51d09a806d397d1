"""The outbox: every statement that moves a webhook from recorded to delivered.

A row can be due only while ``pending``; a worker claims it by setting a lease and raising the fence
in one conditional UPDATE, and may write its result only while that fence is current. Every
statement here changes a whole batch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sync.clock import Clock
from sync.domain.circuit_breaker import CHECK_AGAIN_AFTER
from sync.domain.endpoint import Endpoint
from sync.domain.pauses import Pauses
from sync.domain.states import FINISHED, Reason, State, sql_list
from sync.domain.work import Claim
from sync.ledger.due import IS_OPEN, SENDABLE_AT, WAITS_TO_BE_SENT
from sync.ledger.messages import new_build_id, write_messages
from sync.ledger.steps import Hook, Step, nothing
from sync.ledger.tables import ENDPOINT_STATE, OUTBOX
from sync.warehouse import Warehouse, json_rows

DECIDED = (
    "webhook_id",
    "state",
    "state_reason",
    "region",
    "endpoint_id",
    "payload_format",
    "lost_endpoint_id",
)
"""The fields of a decision that go to the outbox; the rest is its message."""


@dataclass(frozen=True, kw_only=True)
class OpenWork:
    """Open rows that a run may have to process: in most runs, none."""

    endpoint_ids: frozenset[int] = frozenset()
    """Endpoints of the messages yet to be sent, whether the endpoints still exist or not."""
    held_types: frozenset[str] = frozenset()
    """Event types with built messages that are held."""
    payload_formats: frozenset[tuple[int, str]] = frozenset()
    """Endpoints of built messages, each with a format of these messages."""
    leased_since: datetime | None = None
    """Start of the oldest lease, expired ones included; None without any."""
    states: Mapping[str, int] = field(default_factory=dict)
    """Open rows by state, including replays of delivered ones."""


def open_work(warehouse: Warehouse) -> OpenWork:
    """Everything that a run must know about open rows before it starts; one statement."""
    rows = warehouse.rows(
        f"""
        select
            event_type,
            endpoint_id,
            payload_format,
            state,
            build_id is not null as is_built,
            count(*) as n,
            min(iff(lease_owner is not null, updated_at, null)) as leased_since
        from {warehouse.relation("sync", OUTBOX)} as outbox
        where {IS_OPEN.format(row="outbox")}
        group by event_type, endpoint_id, payload_format, state, is_built
        """
    )
    states: Counter[str] = Counter()
    for row in rows:
        states[row["state"]] += int(row["n"])
    leases = [row["leased_since"] for row in rows if row["leased_since"] is not None]
    return OpenWork(
        endpoint_ids=frozenset(
            int(row["endpoint_id"])
            for row in rows
            if row["endpoint_id"] is not None and row["state"] != State.AWAITING
        ),
        held_types=frozenset(
            row["event_type"] for row in rows if row["state"] == State.HELD and row["is_built"]
        ),
        payload_formats=frozenset(
            (int(row["endpoint_id"]), row["payload_format"]) for row in rows if row["is_built"]
        ),
        leased_since=min(leases, default=None),
        states=states,
    )


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """What a run leaves open; times are naive UTC."""

    states: Mapping[str, int] = field(default_factory=dict)
    """Webhooks by state, including replays of delivered ones."""
    sendable_at: datetime | None = None
    """When a message can next be sent, or a held one is next checked."""
    awaiting_since: datetime | None = None
    """When the oldest completion that waits for learning time was recorded."""


def remaining(warehouse: Warehouse, pauses: Pauses) -> Remaining:
    """What is open, and the earliest time at which a run can process it; one statement.

    A pending row also waits for its lease, its endpoint and the end of a pause; an earlier run
    would find nothing. A row held for an endpoint that was enabled again is due immediately; one
    whose target was refused is due when the target is checked again.
    """
    rows = warehouse.rows(
        f"""
        select
            outbox.state,
            outbox.endpoint_id,
            outbox.enterprise_customer_uuid,
            -- Distinct, since an endpoint may have two rows of state for a while.
            count(distinct outbox.webhook_id) as n,
            min(outbox.recorded_at) as recorded_at,
            min(case
                when outbox.state = '{State.AWAITING}' or endpoint.disabled_at is not null
                    then null
                when outbox.state <> '{State.HELD}'
                    then {SENDABLE_AT.format(row="outbox", endpoint="endpoint")}
                when outbox.build_id is null then null
                when outbox.state_reason = '{Reason.ENDPOINT_DISABLED}'
                    then outbox.next_attempt_at
                when outbox.state_reason = '{Reason.INVALID_TARGET}' then coalesce(
                    dateadd(
                        'second', {int(CHECK_AGAIN_AFTER.total_seconds())}, endpoint.refused_at
                    ),
                    outbox.next_attempt_at
                )
            end) as sendable_at
        from {warehouse.relation("sync", OUTBOX)} as outbox
        left join {warehouse.relation("sync", ENDPOINT_STATE)} as endpoint
            on outbox.endpoint_id = endpoint.endpoint_id
        where {IS_OPEN.format(row="outbox")}
        group by outbox.state, outbox.endpoint_id, outbox.enterprise_customer_uuid
        """
    )
    states: Counter[str] = Counter()
    for row in rows:
        states[row["state"]] += int(row["n"])
    times = [
        pauses.delayed(row["sendable_at"], int(row["endpoint_id"]), row["enterprise_customer_uuid"])
        for row in rows
        if row["sendable_at"] is not None
    ]
    return Remaining(
        states=states,
        sendable_at=min((one for one in times if one is not None), default=None),
        awaiting_since=min(
            (row["recorded_at"] for row in rows if row["state"] == State.AWAITING), default=None
        ),
    )


class Outbox:
    """The outbox as one run sees it."""

    def __init__(self, warehouse: Warehouse, clock: Clock, run_id: str) -> None:
        self._warehouse = warehouse
        self._clock = clock
        self._run_id = run_id
        self._outbox = warehouse.relation("sync", OUTBOX)
        self._states = warehouse.relation("sync", ENDPOINT_STATE)

    def decide(self, rows: Iterable[Mapping[str, object]], *, hook: Hook = nothing) -> int:
        """Record messages and reasons; a message that may have been sent is never replaced.

        Rows have ``webhook_id``, ``state`` and any of the columns below and in ``write_messages``
        as JSON. Where the event already has a message that was never sent, ``lost_endpoint_id`` is
        that message's endpoint.
        """
        decided = list(rows)
        built = [row for row in decided if row.get("body") is not None]
        clock_now = self._clock()
        build_id = new_build_id(clock_now)
        write_messages(self._warehouse, build_id, built, now=clock_now)
        hook(Step.MESSAGES_WRITTEN)
        now = clock_now.isoformat()
        changes = json_rows(
            text="webhook_id state state_reason region payload_format build_id",
            number="endpoint_id lost_endpoint_id",
        )
        return self._warehouse.bulk(
            f"""
            update {self._outbox} as outbox
            set
                state = decided.state,
                state_reason = decided.state_reason,
                region = decided.region,
                endpoint_id = decided.endpoint_id,
                payload_format = decided.payload_format,
                build_id = decided.build_id,
                next_attempt_at = iff(
                    decided.state in {sql_list(FINISHED)}, null, cast(? as timestamp_ntz)
                ),
                updated_at = cast(? as timestamp_ntz)
            from {changes} as decided
            where outbox.webhook_id = decided.webhook_id
                and {IS_OPEN.format(row="outbox")}
                and (
                    outbox.build_id is null and outbox.state in ('{State.AWAITING}', '{State.HELD}')
                    or outbox.endpoint_id = decided.lost_endpoint_id
                    and outbox.state in ('{State.PENDING}', '{State.HELD}')
                    and outbox.fence = 0
                )
            """,
            [
                {name: row[name] for name in DECIDED if name in row}
                | {"build_id": None if row.get("body") is None else build_id}
                for row in decided
            ],
            before=(now, now),
        )

    def release(self, claims: Iterable[Claim]) -> int:
        """Give back rows that were claimed but not tried; no attempt is charged."""
        return self._warehouse.bulk(
            f"""
            update {self._outbox} as outbox
            set
                lease_owner = null,
                lease_expires_at = null,
                updated_at = cast(? as timestamp_ntz)
            from {json_rows(text="webhook_id", number="fence")} as untried
            where outbox.webhook_id = untried.webhook_id
                and outbox.fence = untried.fence
                and outbox.lease_owner is not null
            """,
            ({"webhook_id": one.webhook_id, "fence": one.fence} for one in claims),
            before=(self._now(),),
        )

    def release_all(self) -> int:
        """Give back every row that this run has claimed; for a run that does not know which."""
        return self._warehouse.execute(
            f"""
            update {self._outbox}
            set lease_owner = null, lease_expires_at = null, updated_at = cast(? as timestamp_ntz)
            where startswith(lease_owner, ?)
            """,
            self._now(),
            f"{self._run_id}:",
        )

    def hold_and_release(
        self,
        unusable: Mapping[int, str],
        usable: Iterable[Endpoint],
        *,
        unchecked: Collection[str] = (),
        unknown_formats: Collection[tuple[int, str]] = (),
    ) -> None:
        """Hold due rows of endpoints that cannot take them; release those of endpoints that can.

        ``unusable`` maps endpoint ids to the reason. Where a usable endpoint's id now belongs to
        another customer, the endpoint of a row is missing. Each is one statement for any number of
        rows. Rows of the event types in ``unchecked`` are not released: whether they may still be
        reported is unknown. Messages built in one of an endpoint's ``unknown_formats`` are held:
        their headers and the responses that mean success are unknown.
        """
        owned = [
            {"endpoint_id": one.endpoint_id, "customer": one.enterprise_customer_uuid}
            for one in usable
        ]
        held = json_rows(text="reason customer payload_format", number="endpoint_id")
        self._warehouse.bulk(
            f"""
            update {self._outbox} as outbox
            set
                state = '{State.HELD}',
                state_reason = endpoint.reason,
                -- Of a run that died; one that lives still has its lease and is left alone.
                lease_owner = null,
                lease_expires_at = null,
                updated_at = cast(? as timestamp_ntz)
            from {held} as endpoint
            where outbox.endpoint_id = endpoint.endpoint_id
                and coalesce(outbox.enterprise_customer_uuid <> endpoint.customer, true)
                and coalesce(outbox.payload_format = endpoint.payload_format, true)
                and {IS_OPEN.format(row="outbox")}
                and outbox.build_id is not null
                and outbox.state in ('{State.PENDING}', '{State.HELD}')
                and coalesce(outbox.state_reason, '') not in (
                    endpoint.reason, '{Reason.NO_LONGER_REPORTABLE}'
                )
                and coalesce(outbox.lease_expires_at <= cast(? as timestamp_ntz), true)
            """,
            [
                *({"endpoint_id": key, "reason": reason} for key, reason in unusable.items()),
                *({**row, "reason": Reason.ENDPOINT_MISSING} for row in owned),
                *(
                    {
                        "endpoint_id": key,
                        "payload_format": name,
                        "reason": Reason.ENDPOINT_ROW_INVALID,
                    }
                    for key, name in unknown_formats
                ),
            ],
            before=(self._now(),),
            after=(self._now(),),
        )
        self._warehouse.bulk(
            f"""
            update {self._outbox} as outbox
            set
                state = '{State.PENDING}',
                state_reason = null,
                updated_at = cast(? as timestamp_ntz)
            from {json_rows(text="customer", number="endpoint_id")} as endpoint
            where outbox.endpoint_id = endpoint.endpoint_id
                and outbox.enterprise_customer_uuid = endpoint.customer
                and outbox.state = '{State.HELD}'
                and coalesce(outbox.state_reason, '') <> '{Reason.NO_LONGER_REPORTABLE}'
                and outbox.build_id is not null
                and outbox.next_attempt_at <= cast(? as timestamp_ntz)
                and outbox.event_type not in (
                    select value::varchar from table(flatten(input => parse_json(?)))
                )
                and outbox.payload_format not in (
                    select value::varchar from table(flatten(input => parse_json(?)))
                )
            """,
            owned,
            before=(self._now(),),
            after=(
                self._now(),
                json.dumps(sorted(unchecked)),
                json.dumps(sorted({name for _, name in unknown_formats})),
            ),
        )

    def next_due_at(self, endpoint_ids: Iterable[int]) -> datetime | None:
        """When the next row of these endpoints can be claimed; None when none ever can.

        A leased row waits for its lease to end, and every row for its endpoint; rows of a disabled
        endpoint do not count.
        """
        wanted = sorted(endpoint_ids)
        if not wanted:
            return None
        return self._warehouse.value(
            f"""
            select min({SENDABLE_AT.format(row="outbox", endpoint="endpoint")}) as due_at
            from {self._outbox} as outbox
            left join {self._states} as endpoint on outbox.endpoint_id = endpoint.endpoint_id
            where {WAITS_TO_BE_SENT.format(row="outbox")}
                and endpoint.disabled_at is null
                and outbox.endpoint_id in (
                    select value::number(38, 0) from table(flatten(input => parse_json(?)))
                )
            """,
            json.dumps(wanted),
        )

    def _now(self) -> str:
        return self._clock().isoformat()
