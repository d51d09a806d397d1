"""Claim due rows: first the right to send to an endpoint, then rows under a lease.

Both are single conditional UPDATEs, so any number of runs may claim concurrently.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.clock import Clock
from sync.domain.circuit_breaker import EndpointState
from sync.domain.endpoint import Endpoint
from sync.domain.pacing import Grant, grant
from sync.domain.pauses import NO_PAUSES
from sync.domain.work import Claim
from sync.ledger.due import WAITS_TO_BE_SENT
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.messages import bodies_of
from sync.ledger.pauses import read_pauses
from sync.ledger.steps import Hook, Step
from sync.ledger.tables import MESSAGES, OUTBOX
from sync.warehouse import Warehouse, json_rows

log = logging.getLogger(__name__)

FAST_ATTEMPTS = 2
"""The first try and first retry use the fast lane; later retries and replays use the low lane."""
LOW_LANE_TURN = 4
"""A row of the low lane counts as this many: with both lanes full it gets one place in five."""


@dataclass(frozen=True)
class Batch:
    """Claims to send, with their common lease and their endpoints' grants."""

    claims: Sequence[Claim]
    grants: Mapping[int, Grant]
    """The grant of each endpoint, under which its claims may be sent."""
    lease_ends_at: datetime
    leaves_more: bool = False
    """Whether more rows could be claimed right away."""


DUE = f"""
    {WAITS_TO_BE_SENT}
    and {{row}}.next_attempt_at <= cast(? as timestamp_ntz)
    and coalesce({{row}}.lease_expires_at <= cast(? as timestamp_ntz), true)
"""


class Claims:
    """Claims of one run, for the endpoints that it can send to."""

    def __init__(
        self,
        warehouse: Warehouse,
        clock: Clock,
        run_id: str,
        endpoints: Iterable[Endpoint],
        hook: Hook,
    ) -> None:
        self._warehouse = warehouse
        self._clock = clock
        self._run_id = run_id
        endpoints = list(endpoints)
        self._customers = {one.endpoint_id: one.enterprise_customer_uuid for one in endpoints}
        self._limits = {one.endpoint_id: one.max_requests_per_minute for one in endpoints}
        self.disabled: set[int] = set()
        """Endpoints with due rows that were found disabled: that happened during the run."""
        self.pauses = NO_PAUSES
        """Pauses as of the latest claim."""
        self._states = EndpointStates(warehouse)
        self._hook = hook
        self._outbox = warehouse.relation("sync", OUTBOX)

    def next_batch(
        self, *, limit: int, lease: timedelta, waiting: Mapping[int, int] | None = None
    ) -> Batch:
        """Claim up to ``limit`` due rows: endpoints take turns, fresh rows go before retries.

        ``waiting`` is how many claims of each endpoint the caller has not started; they count as
        turns already taken, so claims of a slow endpoint do not pile up.

        An empty batch means that nothing is due, or that every endpoint with due rows is paused,
        has an open circuit breaker or has used up its rate for now.
        """
        now = self._clock()
        if not self._limits:
            return Batch([], {}, now + lease)
        self.pauses = read_pauses(self._warehouse, now)
        # Read before counting: a pause set while rows are being claimed applies to the next batch.
        can_have = self.open_endpoints
        if not can_have:
            return Batch([], {}, now + lease)
        due = {key: n for key, n in self._due_counts().items() if key in can_have}
        ahead = waiting or {}
        wanted = {key: min(n, limit - ahead.get(key, 0)) for key, n in due.items()}
        grants = self._reserve({key: n for key, n in wanted.items() if n > 0}, lease)
        self._hook(Step.RESERVED)
        if not grants:
            return Batch([], {}, now + lease)
        # Claiming again soon would not get due rows that are blocked or over their rate.
        is_cut = any(one.count == wanted[one.endpoint_id] < due[one.endpoint_id] for one in grants)
        rows = self._claim(grants, ahead, limit, lease)
        self._hook(Step.CLAIMED)
        return Batch(
            rows,
            {one.endpoint_id: one for one in grants},
            now + lease,
            leaves_more=bool(rows) and (len(rows) < sum(one.count for one in grants) or is_cut),
        )

    @property
    def paused(self) -> set[int]:
        """Endpoints that are paused."""
        return {
            key for key in self._limits if self.pauses.of(key, self._customers[key]) is not None
        }

    @property
    def open_endpoints(self) -> set[int]:
        """Endpoints for which rows may be claimed now."""
        return self._limits.keys() - self.paused

    def close(self, endpoint_id: int) -> None:
        """Claim nothing more for an endpoint."""
        self._limits.pop(endpoint_id, None)
        self.disabled.discard(endpoint_id)

    def _due_counts(self) -> dict[int, int]:
        now = self._clock().isoformat()
        rows = self._warehouse.rows(
            f"""
            select due.endpoint_id, count(*) as due
            from {self._outbox} as due
            where {DUE.format(row="due")}
            group by due.endpoint_id
            """,
            now,
            now,
        )
        return {int(row["endpoint_id"]): int(row["due"]) for row in rows}

    def _reserve(self, wanted: Mapping[int, int], lease: timedelta) -> list[Grant]:
        """Reserve slots for endpoints with due rows; a probe also keeps other runs from probing."""
        grants: dict[int, Grant] = {}

        def take(state: EndpointState) -> EndpointState:
            if state.disabled_at is not None:
                self.disabled.add(state.endpoint_id)
            taken, after = grant(
                state,
                requests_per_minute=self._limits[state.endpoint_id],
                wanted=wanted[state.endpoint_id],
                now=self._clock(),
                probe_until=self._clock() + lease,
            )
            grants[state.endpoint_id] = taken
            return after

        self._states.change(wanted, take)
        return [one for one in grants.values() if one.count]

    def _claim(
        self, grants: Iterable[Grant], ahead: Mapping[int, int], limit: int, lease: timedelta
    ) -> list[Claim]:
        owner = f"{self._run_id}:{uuid.uuid4()}"
        now = self._clock()
        at = now.isoformat()
        granted = json_rows(text="customer", number="endpoint_id slots ahead")
        self._warehouse.bulk(
            f"""
            update {self._outbox} as outbox
            set
                lease_owner = ?,
                lease_expires_at = cast(? as timestamp_ntz),
                fence = outbox.fence + 1,
                updated_at = cast(? as timestamp_ntz)
            where outbox.webhook_id in (
                select ranked.webhook_id
                from (
                    select
                        turns.webhook_id,
                        row_number() over (
                            partition by turns.endpoint_id order by turns.turn, turns.webhook_id
                        ) as place,
                        granted.slots,
                        granted.ahead
                    from (
                        select
                            due.webhook_id,
                            due.endpoint_id,
                            due.enterprise_customer_uuid,
                            row_number() over (
                                partition by due.endpoint_id, due.lane
                                order by due.next_attempt_at, due.webhook_id
                            ) * due.lane as turn
                        from (
                            select
                                *,
                                iff(
                                    attempt_count < {FAST_ATTEMPTS} and replay_id is null,
                                    1, {LOW_LANE_TURN}
                                ) as lane
                            from {self._outbox}
                        ) as due
                        where {DUE.format(row="due")}
                    ) as turns
                    inner join {granted} as granted
                        on turns.endpoint_id = granted.endpoint_id
                        -- An id may be another customer's by now.
                        and turns.enterprise_customer_uuid = granted.customer
                ) as ranked
                where ranked.place <= ranked.slots
                order by ranked.ahead + ranked.place, ranked.webhook_id
                limit {int(limit)}
            )
            and {DUE.format(row="outbox")}
            """,
            (
                {
                    "endpoint_id": one.endpoint_id,
                    "customer": self._customers[one.endpoint_id],
                    "slots": one.count,
                    "ahead": ahead.get(one.endpoint_id, 0),
                }
                for one in grants
            ),
            before=(owner, (now + lease).isoformat(), at, at, at),
            after=(at, at),
        )
        return self._read_back(owner)

    def _read_back(self, owner: str) -> list[Claim]:
        """Read the rows that carry this claim: only they are ours, whatever the UPDATE reported.

        If the UPDATE was repeated because its response was lost, the repetition reports no rows.
        """
        rows = self._warehouse.rows(
            f"""
            select
                webhook_id, build_id, endpoint_id, payload_format, attempt_count, fence, replay_id
            from {self._outbox}
            where lease_owner = ?
            order by iff(replay_id is null, 0, 1), attempt_count, webhook_id
            """,
            owner,
        )
        bodies = bodies_of(self._warehouse, owner, rows)
        if lost := sorted({row["webhook_id"] for row in rows} - bodies.keys()):
            log.error(
                "%d webhooks have no message in %s, such as %s: they cannot be sent before it is "
                "restored",
                len(lost),
                MESSAGES,
                lost[0],
            )
        return [
            Claim(
                body=bodies[row["webhook_id"]],
                **{name: value for name, value in row.items() if name != "build_id"},
            )
            for row in rows
            if row["webhook_id"] in bodies
        ]
