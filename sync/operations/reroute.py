"""Move messages of a deleted endpoint to the customer's new one: same id, same body bytes.

A message that was never sent to anybody does not need this: the next run builds it again for the
new endpoint. One that was tried keeps its bytes forever, so it moves only where they fit: to an
endpoint of the same customer that takes the message's region, in the same format. Whether to
move it is the operator's choice, because the old endpoint may have accepted it before it was
deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field

from sync.clock import Clock
from sync.delivery.endpoints import Endpoints, load_endpoints
from sync.delivery.events import NEVER_SENT_AND_LOST, outbox_and_endpoints
from sync.domain.endpoint import Region
from sync.domain.event_types import event_types
from sync.domain.routing import NotRouted, choose_endpoint
from sync.domain.states import Reason, State
from sync.ledger.tables import OUTBOX
from sync.operations.operation import (
    Change,
    CommandLine,
    Enterprise,
    Plan,
    not_yet_recorded,
)
from sync.operations.refusals import Refusal, refusal_lines
from sync.warehouse import Warehouse, json_rows

_TRIED = f"""
    outbox.build_id is not null
    and (
        outbox.state in ('{State.PENDING}', '{State.HELD}')
        or outbox.state = '{State.DELIVERED}' and outbox.replay_id is not null
    )
"""


class Reroute(Change):
    """Move messages that were tried at a deleted endpoint to the customer's new one: same bytes.

    Messages that were never sent move by themselves.
    """

    name: ClassVar[str] = "reroute"
    results: ClassVar[tuple[str, str]] = ("reroute_id", "moved")

    endpoint_id: Annotated[int | None, CommandLine("--endpoint")] = Field(
        default=None, description="Only messages of this deleted endpoint."
    )
    enterprise: Enterprise | None = Field(
        default=None, description="Only messages of this customer; its UUID."
    )

    def plan(self, warehouse: Warehouse, clock: Clock) -> Plan:
        """What moves, from and to which endpoint, and what stays; two statements."""
        moves: Counter[tuple[int, int]] = Counter()
        stays: Counter[Refusal] = Counter()
        for row, target in self._groups(warehouse, clock()):
            if isinstance(target, Refusal):
                stays[target] += int(row["n"])
            else:
                moves[int(row["endpoint_id"]), target] += int(row["n"])
        counts = [(old, target, count) for (old, target), count in moves.items()]
        return Plan(
            matched=moves.total(),
            document={
                "moves": [{"from": old, "to": to, "webhooks": count} for old, to, count in counts],
                "not_moved": dict(stays),
            },
            lines=refusal_lines(stays, verb="moved"),
            tables={
                "moves": [
                    {"deleted_endpoint": old, "new_endpoint": to, "webhooks": count}
                    for old, to, count in counts
                ]
            },
        )

    def _groups(
        self, warehouse: Warehouse, now: datetime
    ) -> list[tuple[Mapping[str, Any], int | Refusal]]:
        """Counts of messages of deleted endpoints, with where each kind goes or why it stays."""
        endpoints = load_endpoints(warehouse)
        rows = warehouse.rows(
            f"""
            select
                outbox.enterprise_customer_uuid, outbox.event_type, outbox.region,
                outbox.endpoint_id, outbox.payload_format, outbox.courserun_key,
                coalesce(outbox.state_reason = '{Reason.NO_LONGER_REPORTABLE}', false) as is_gone,
                {NEVER_SENT_AND_LOST.format(row="outbox")} as is_never_sent,
                coalesce(outbox.lease_expires_at > cast(? as timestamp_ntz), false) as is_in_a_run,
                count(*) as n
            from {outbox_and_endpoints(warehouse)}
            where configured.endpoint_id is null
                and {_TRIED}
                and coalesce(outbox.endpoint_id = ?, true)
                and coalesce(outbox.enterprise_customer_uuid = ?, true)
            group by 1, 2, 3, 4, 5, 6, 7, 8, 9
            order by 1, 2, 3, 4, 5, 6, 7, 8, 9
            """,
            now.isoformat(),
            self.endpoint_id,
            self.enterprise,
        )
        return [(row, _target(row, endpoints)) for row in rows]

    def move(self, warehouse: Warehouse, request_id: str, now: datetime) -> int:
        """Move what was tried to the customers' new endpoints.

        A moved message starts a fresh schedule and carries the marker of a replay. It is held as
        ``rerouted`` until the next run has looked it up in the marts and found its new endpoint
        ready. The fence is raised, so that a late result from the old endpoint cannot undo it. A
        row that a run is working on stays.
        """
        names = "enterprise_customer_uuid event_type region payload_format courserun_key"
        chosen = json_rows(text=names, number="endpoint_id new_endpoint_id")
        groups = [
            {name: row[name] for name in names.split()}
            | {"endpoint_id": int(row["endpoint_id"]), "new_endpoint_id": target}
            for row, target in self._groups(warehouse, now)
            if isinstance(target, int)
        ]
        if not groups:
            return 0
        return warehouse.bulk(
            f"""
            update {warehouse.relation("sync", OUTBOX)} as outbox
            set
                endpoint_id = chosen.new_endpoint_id,
                state = iff(outbox.state = '{State.DELIVERED}', outbox.state, '{State.HELD}'),
                state_reason = iff(outbox.state = '{State.DELIVERED}', null, '{Reason.REROUTED}'),
                attempt_count = iff(outbox.state = '{State.DELIVERED}', outbox.attempt_count, 0),
                next_attempt_at = cast(? as timestamp_ntz),
                replay_id = ?,
                fence = outbox.fence + 1,
                lease_owner = null,
                lease_expires_at = null,
                updated_at = cast(? as timestamp_ntz)
            from {chosen} as chosen
            where outbox.enterprise_customer_uuid = chosen.enterprise_customer_uuid
                and outbox.event_type = chosen.event_type
                and outbox.region = chosen.region
                and outbox.payload_format = chosen.payload_format
                and outbox.courserun_key = chosen.courserun_key
                and outbox.endpoint_id = chosen.endpoint_id
                and {_TRIED}
                and (outbox.fence > 0 or outbox.state = '{State.DELIVERED}')
                and coalesce(outbox.state_reason, '') <> '{Reason.NO_LONGER_REPORTABLE}'
                and coalesce(outbox.lease_expires_at <= cast(? as timestamp_ntz), true)
                and {not_yet_recorded(warehouse)}
            """,
            groups,
            before=(now.isoformat(), request_id, now.isoformat()),
            after=(now.isoformat(), request_id),
        )


def _target(row: Mapping[str, Any], endpoints: Endpoints) -> int | Refusal:
    """The endpoint that a message's bytes may go to, by the rule that routes new events."""
    if row["is_gone"]:
        return Refusal.NO_LONGER_REPORTABLE
    if row["is_never_sent"]:
        return Refusal.NEVER_SENT
    if row["is_in_a_run"]:
        return Refusal.IN_A_RUN
    enterprise = row["enterprise_customer_uuid"]
    route = choose_endpoint(
        Region(row["region"]),
        endpoints.by_enterprise.get(enterprise, ()),
        event_type=event_types().get(row["event_type"]),
        courserun_key=row["courserun_key"],
    )
    if isinstance(route, NotRouted) and route.reason is Reason.FILTERED:
        return Refusal.FILTERED
    if isinstance(route, NotRouted) or endpoints.is_own_broken(enterprise, route):
        return Refusal.NO_ENDPOINT
    if route.endpoint.payload_format != row["payload_format"]:
        return Refusal.FORMAT_DIFFERS
    return route.endpoint.endpoint_id
