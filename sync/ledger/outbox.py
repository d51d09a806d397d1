"""The outbox: every statement that moves a webhook from recorded to delivered.

A row is due while ``pending``; a worker that wants it sets a lease and raises the fence in one
conditional UPDATE, and may write its result only while that fence still stands. Every statement
here moves a whole batch.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sync.clock import Clock
from sync.domain.endpoint import Endpoint
from sync.domain.states import Reason, State
from sync.domain.work import Claim
from sync.ledger.due import SENDABLE_AT, WAITS_TO_BE_SENT
from sync.ledger.tables import ENDPOINT_STATE, OUTBOX
from sync.warehouse import Warehouse


class Outbox:
    """The outbox as one run sees it."""

    def __init__(self, warehouse: Warehouse, clock: Clock, run_id: str) -> None:
        self._warehouse = warehouse
        self._clock = clock
        self._run_id = run_id
        self._outbox = warehouse.relation("sync", OUTBOX)
        self._states = warehouse.relation("sync", ENDPOINT_STATE)

    def decide(self, rows: Iterable[Mapping[str, object]]) -> int:
        """Record messages and reasons; a message that may have been sent stands for ever.

        Rows have ``webhook_id``, ``state`` and any of the columns below as JSON. Where the event
        already has a message, which nobody was sent, ``lost_endpoint_id`` is its endpoint.
        """
        now = self._now()
        return self._warehouse.bulk(
            f"""
            update {self._outbox} as outbox
            set
                state = decided.state,
                state_reason = decided.state_reason,
                region = decided.region,
                endpoint_id = decided.endpoint_id,
                payload_format = decided.payload_format,
                body = decided.body,
                frozen_at = iff(decided.body is null, null, cast(? as timestamp_ntz)),
                next_attempt_at = iff(decided.body is null, null, cast(? as timestamp_ntz)),
                enrichment_outcome = decided.enrichment_outcome,
                learning_time_seconds = decided.learning_time_seconds,
                learning_time_computed_through = decided.learning_time_computed_through,
                updated_at = cast(? as timestamp_ntz)
            from (
                select
                    value:webhook_id::varchar as webhook_id,
                    value:state::varchar as state,
                    value:state_reason::varchar as state_reason,
                    value:region::varchar as region,
                    value:endpoint_id::number(38, 0) as endpoint_id,
                    value:payload_format::varchar as payload_format,
                    value:body::varchar as body,
                    value:enrichment_outcome::varchar as enrichment_outcome,
                    value:learning_time_seconds::number(38, 0) as learning_time_seconds,
                    value:learning_time_computed_through::varchar::timestamp_ntz
                        as learning_time_computed_through,
                    value:lost_endpoint_id::number(38, 0) as lost_endpoint_id
                from table(flatten(input => parse_json(?)))
            ) as decided
            where outbox.webhook_id = decided.webhook_id
                and (
                    outbox.body is null and outbox.state in ('{State.AWAITING}', '{State.HELD}')
                    or outbox.endpoint_id = decided.lost_endpoint_id
                    and outbox.state in ('{State.PENDING}', '{State.HELD}')
                    and outbox.fence = 0
                )
            """,
            rows,
            before=(now, now, now),
        )

    def release(self, claims: Iterable[Claim]) -> int:
        """Give back rows that were claimed and not tried; no attempt is charged."""
        return self._warehouse.bulk(
            f"""
            update {self._outbox} as outbox
            set
                lease_owner = null,
                lease_expires_at = null,
                updated_at = cast(? as timestamp_ntz)
            from (
                select
                    value:webhook_id::varchar as webhook_id,
                    value:fence::number(38, 0) as fence
                from table(flatten(input => parse_json(?)))
            ) as untried
            where outbox.webhook_id = untried.webhook_id and outbox.fence = untried.fence
            """,
            ({"webhook_id": one.webhook_id, "fence": one.fence} for one in claims),
            before=(self._now(),),
        )

    def release_all(self) -> int:
        """Give back every row that this run holds; for a run that does not know which."""
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
    ) -> None:
        """Hold due rows of endpoints that cannot take them, and free those of endpoints that can.

        ``unusable`` maps endpoint ids to the reason. Where the id of a usable endpoint is another
        customer's by now, the endpoint of a row is missing. Both are one statement, whatever the
        number of rows. Nothing is freed of the event types in ``unchecked``: nobody knows whether
        it may still be reported.
        """
        owned = [
            {"endpoint_id": one.endpoint_id, "customer": one.enterprise_customer_uuid}
            for one in usable
        ]
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
            from (
                select
                    value:endpoint_id::number(38, 0) as endpoint_id,
                    value:reason::varchar as reason,
                    value:customer::varchar as customer
                from table(flatten(input => parse_json(?)))
            ) as endpoint
            where outbox.endpoint_id = endpoint.endpoint_id
                and coalesce(outbox.enterprise_customer_uuid <> endpoint.customer, true)
                and outbox.body is not null
                and outbox.state in ('{State.PENDING}', '{State.HELD}')
                and coalesce(outbox.state_reason, '') not in (
                    endpoint.reason, '{Reason.NO_LONGER_REPORTABLE}'
                )
                and coalesce(outbox.lease_expires_at <= cast(? as timestamp_ntz), true)
            """,
            [
                *({"endpoint_id": key, "reason": reason} for key, reason in unusable.items()),
                *({**row, "reason": Reason.ENDPOINT_MISSING} for row in owned),
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
            from (
                select
                    value:endpoint_id::number(38, 0) as endpoint_id,
                    value:customer::varchar as customer
                from table(flatten(input => parse_json(?)))
            ) as endpoint
            where outbox.endpoint_id = endpoint.endpoint_id
                and outbox.enterprise_customer_uuid = endpoint.customer
                and outbox.state = '{State.HELD}'
                and coalesce(outbox.state_reason, '') <> '{Reason.NO_LONGER_REPORTABLE}'
                and outbox.body is not null
                and outbox.next_attempt_at <= cast(? as timestamp_ntz)
                and outbox.event_type not in (
                    select value::varchar from table(flatten(input => parse_json(?)))
                )
            """,
            owned,
            before=(self._now(),),
            after=(self._now(), json.dumps(sorted(unchecked))),
        )

    def next_due_at(self, endpoint_ids: Iterable[int]) -> datetime | None:
        """When the next row of these endpoints can be claimed; None when none ever can.

        A row under a lease waits for its end, and every row for its endpoint; those of a disabled
        one do not count.
        """
        rows = self._warehouse.rows(
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
            json.dumps(sorted(endpoint_ids)),
        )
        return rows[0]["due_at"]

    def endpoints_in_use(self) -> set[int]:
        """Endpoints that rows yet to be sent point at, whether they still exist or not."""
        rows = self._warehouse.rows(
            f"""
            select distinct endpoint_id from {self._outbox}
            where endpoint_id is not null
                and (
                    state in ('{State.PENDING}', '{State.HELD}')
                    or state = '{State.DELIVERED}' and replay_id is not null
                )
            """
        )
        return {int(row["endpoint_id"]) for row in rows}

    def counts(self) -> dict[str, int]:
        """Rows by state."""
        rows = self._warehouse.rows(
            f"select state, count(*) as n from {self._outbox} group by state order by state"
        )
        return {row["state"]: int(row["n"]) for row in rows}

    def _now(self) -> str:
        return self._clock().isoformat()
