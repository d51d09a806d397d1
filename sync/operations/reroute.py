"""Move messages of a deleted endpoint to the customer's new one: same id, same body bytes.

A message that was never sent to anybody needs none of this: the next run builds it again for the
new endpoint. One that was tried keeps its bytes forever, so it moves only where they fit: to an
endpoint of the same customer that takes the message's region, in the same format. Whether it goes
is the operator's choice, because the old endpoint may have taken it before it was deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from sync.clock import Clock
from sync.delivery.endpoints import Endpoints, load_endpoints
from sync.delivery.events import NEVER_SENT_AND_LOST, outbox_and_endpoints
from sync.domain.endpoint import Region
from sync.domain.event_types import EVENT_TYPES
from sync.domain.routing import NotRouted, choose_endpoint
from sync.domain.states import Reason, State
from sync.ledger.tables import OUTBOX
from sync.operations.operation import (
    Change,
    CommandLine,
    Enterprise,
    Plan,
    Rows,
    not_yet_recorded,
)
from sync.warehouse import Warehouse


class Stay(StrEnum):
    """Why a message of a deleted endpoint does not move."""

    NEVER_SENT = "never_sent"
    NO_ENDPOINT = "no_endpoint"
    FORMAT_DIFFERS = "format_differs"
    NO_LONGER_REPORTABLE = "no_longer_reportable"
    IN_A_RUN = "in_a_run"

    @property
    def text(self) -> str:
        """The reason and what to do, for an operator."""
        return _TEXTS[self]


_TEXTS = {
    Stay.NEVER_SENT: "never sent: the next run builds it again, where the customer has an endpoint",
    Stay.NO_ENDPOINT: (
        "the customer has no active endpoint that takes its region: create one in the LMS, or let "
        "the one of OTHER take learners of the EU with `ltw endpoints set`"
    ),
    Stay.FORMAT_DIFFERS: (
        "it was tried, so its bytes stay, and the new endpoint wants another format: set the "
        "format with `ltw endpoints set`, reroute, wait until it is sent, and set it back"
    ),
    Stay.NO_LONGER_REPORTABLE: "consent, link or row is gone: it goes out if it comes back",
    Stay.IN_A_RUN: "a run is working on it: reroute again when the run is over",
}


@dataclass(frozen=True, kw_only=True)
class ReroutePlan(Plan):
    """What a reroute would do now."""

    moves: Mapping[tuple[int, int], int]
    """Messages by old and new endpoint."""
    stays: Mapping[Stay, int]
    groups: Sequence[Mapping[str, Any]]
    """What moves, as the columns of ``move``'s source."""

    def document(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "matched": self.matched,
            "moves": [
                {"from": old, "to": new, "webhooks": count}
                for (old, new), count in self.moves.items()
            ],
            "not_moved": dict(self.stays),
            "reroute_id": None,
            "moved": 0,
        }

    def lines(self) -> list[str]:
        """What stays, and why."""
        return [f"{count:,} not moved ({stay}): {stay.text}" for stay, count in self.stays.items()]

    def tables(self) -> dict[str, Rows]:
        """From where to where."""
        return {
            "moves": [
                {"deleted_endpoint": old, "new_endpoint": new, "webhooks": count}
                for (old, new), count in self.moves.items()
            ]
        }


_TRIED = f"""
    outbox.body is not null
    and (
        outbox.state in ('{State.PENDING}', '{State.HELD}')
        or outbox.state = '{State.DELIVERED}' and outbox.replay_id is not null
    )
"""


class Reroute(Change):
    """Move messages that were tried at a deleted endpoint to the customer's new one: same bytes.

    What was never sent moves by itself.
    """

    name: ClassVar[str] = "reroute"
    changed_name: ClassVar[str] = "moved"

    endpoint_id: Annotated[int | None, CommandLine("--endpoint")] = Field(
        default=None, description="Only messages of this deleted endpoint."
    )
    enterprise: Enterprise | None = Field(
        default=None, description="Only messages of this customer; its UUID."
    )

    def plan(self, warehouse: Warehouse, clock: Clock) -> ReroutePlan:
        """What ``apply`` would do now; two statements, both read only.

        Raises:
            StatementFailed: the ledger or the mart of endpoints cannot be read.
        """
        return self._plan(warehouse, clock())

    def _plan(self, warehouse: Warehouse, now: datetime) -> ReroutePlan:
        endpoints = load_endpoints(warehouse)
        rows = warehouse.rows(
            f"""
            select
                outbox.enterprise_customer_uuid, outbox.event_type, outbox.region,
                outbox.endpoint_id, outbox.payload_format,
                coalesce(outbox.state_reason = '{Reason.NO_LONGER_REPORTABLE}', false) as is_gone,
                {NEVER_SENT_AND_LOST.format(row="outbox")} as is_never_sent,
                coalesce(outbox.lease_expires_at > cast(? as timestamp_ntz), false) as is_in_a_run,
                count(*) as n
            from {outbox_and_endpoints(warehouse)}
            where configured.endpoint_id is null
                and {_TRIED}
                and coalesce(outbox.endpoint_id = ?, true)
                and coalesce(outbox.enterprise_customer_uuid = ?, true)
            group by 1, 2, 3, 4, 5, 6, 7, 8
            order by 1, 2, 3, 4, 5, 6, 7, 8
            """,
            now.isoformat(),
            self.endpoint_id,
            self.enterprise,
        )
        moves: Counter[tuple[int, int]] = Counter()
        stays: Counter[Stay] = Counter()
        groups: list[dict[str, Any]] = []
        for row in rows:
            target = _target(row, endpoints)
            if isinstance(target, Stay):
                stays[target] += int(row["n"])
                continue
            old = int(row["endpoint_id"])
            moves[old, target] += int(row["n"])
            names = ("enterprise_customer_uuid", "event_type", "region", "payload_format")
            groups.append(
                {name: row[name] for name in names}
                | {"endpoint_id": old, "new_endpoint_id": target}
            )
        return ReroutePlan(matched=moves.total(), moves=moves, stays=stays, groups=groups)

    def move(self, warehouse: Warehouse, request_id: str, now: datetime) -> int:
        """Move what was tried to the customers' new endpoints.

        A moved message starts a fresh schedule and carries the marker of a replay. It is held as
        ``rerouted`` until the next run has looked it up in the marts and found its new endpoint
        ready. The fence is raised, so that a late result of the old endpoint cannot undo it. A row
        that a run is working on stays.
        """
        groups = self._plan(warehouse, now).groups
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
            from (
                select
                    value:enterprise_customer_uuid::varchar as enterprise_customer_uuid,
                    value:event_type::varchar as event_type,
                    value:region::varchar as region,
                    value:payload_format::varchar as payload_format,
                    value:endpoint_id::number(38, 0) as endpoint_id,
                    value:new_endpoint_id::number(38, 0) as new_endpoint_id
                from table(flatten(input => parse_json(?)))
            ) as chosen
            where outbox.enterprise_customer_uuid = chosen.enterprise_customer_uuid
                and outbox.event_type = chosen.event_type
                and outbox.region = chosen.region
                and outbox.payload_format = chosen.payload_format
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


def _target(row: Mapping[str, Any], endpoints: Endpoints) -> int | Stay:
    """The endpoint that a message's bytes may go to, by the rule that routes new events."""
    if row["is_gone"]:
        return Stay.NO_LONGER_REPORTABLE
    if row["is_never_sent"]:
        return Stay.NEVER_SENT
    if row["is_in_a_run"]:
        return Stay.IN_A_RUN
    enterprise = row["enterprise_customer_uuid"]
    route = choose_endpoint(
        Region(row["region"]),
        endpoints.by_enterprise.get(enterprise, ()),
        event_type=EVENT_TYPES[row["event_type"]],
    )
    if isinstance(route, NotRouted) or endpoints.is_own_broken(enterprise, route):
        return Stay.NO_ENDPOINT
    if route.endpoint.payload_format != row["payload_format"]:
        return Stay.FORMAT_DIFFERS
    return route.endpoint.endpoint_id
