"""Move messages of a deleted endpoint to the customer's new one: same id, same body bytes.

A message that nobody was ever sent needs none of this: the next run builds it again for the new
endpoint. One that was tried keeps its bytes for ever, so it moves only where they fit: to an
endpoint of the same customer that takes the message's region, in the same format. Whether it goes
is the operator's choice, because the old endpoint may have taken it before it was deleted.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sync.clock import Clock
from sync.delivery.current_facts import NEVER_SENT_AND_LOST, outbox_and_endpoints
from sync.delivery.endpoints import Endpoints, load_endpoints
from sync.domain.endpoint import Region
from sync.domain.event_types import EVENT_TYPES
from sync.domain.rollout import enterprise_uuids
from sync.domain.routing import NotRouted, choose_endpoint
from sync.domain.states import Reason, State
from sync.errors import SyncError
from sync.ledger.tables import OUTBOX
from sync.operations.operator_requests import record_request, recorded_matches
from sync.warehouse import Warehouse


class Stay(StrEnum):
    """Why a message of a deleted endpoint does not move."""

    NEVER_SENT = "never_sent"
    NO_ENDPOINT = "no_endpoint"
    FORMAT_DIFFERS = "format_differs"
    NO_LONGER_REPORTABLE = "no_longer_reportable"

    @property
    def text(self) -> str:
        """The reason and the way out, for an operator."""
        return _TEXTS[self]


_TEXTS = {
    Stay.NEVER_SENT: "never sent: the next run builds it again, where the customer has an endpoint",
    Stay.NO_ENDPOINT: (
        "the customer has no active endpoint that takes its region: make one in the LMS, or let "
        "the one of OTHER take learners of the EU with `ltw endpoints set`"
    ),
    Stay.FORMAT_DIFFERS: (
        "it was tried, so its bytes stay, and the new endpoint wants another format: set the "
        "format with `ltw endpoints set`, reroute, wait until it is sent, and set it back"
    ),
    Stay.NO_LONGER_REPORTABLE: "consent, link or row is gone: it goes out if it comes back",
}


class RerouteGrew(SyncError):
    """More messages match now than were agreed to; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Whose messages.

    Raises:
        ConfigurationError: the enterprise is no UUID.
    """

    endpoint_id: int | None = None
    """Only those of this deleted endpoint."""
    enterprise: str | None = None
    """Only this customer's; its UUID in any spelling."""

    def __post_init__(self) -> None:
        if self.enterprise is not None:
            (spelled,) = enterprise_uuids([self.enterprise], setting="enterprise")
            object.__setattr__(self, "enterprise", spelled)

    def as_json(self) -> str:
        """The choice for the audit row."""
        return json.dumps({"reroute": True, **vars(self)})


@dataclass(frozen=True, kw_only=True)
class ReroutePlan:
    """What a reroute would do now; nothing was changed."""

    matched: int
    moves: Mapping[tuple[int, int], int]
    """Messages by old and new endpoint."""
    stays: Mapping[Stay, int]
    groups: Sequence[Mapping[str, Any]]
    """What moves, as rows of ``_MOVES``."""


@dataclass(frozen=True)
class Reroute:
    """A reroute that was done; without an id when nothing matched."""

    reroute_id: str | None
    matched: int


_TRIED = f"""
    outbox.body is not null
    and (
        outbox.state in ('{State.PENDING}', '{State.HELD}')
        or outbox.state = '{State.DELIVERED}' and outbox.replay_id is not null
    )
"""


def plan_reroute(warehouse: Warehouse, choice: Choice) -> ReroutePlan:
    """What ``reroute`` would do; two statements, both read only.

    Raises:
        StatementFailed: the ledger or the mart of endpoints cannot be read.
    """
    endpoints = load_endpoints(warehouse)
    rows = warehouse.rows(
        f"""
        select
            outbox.enterprise_customer_uuid, outbox.event_type, outbox.region,
            outbox.endpoint_id, outbox.payload_format,
            coalesce(outbox.state_reason = '{Reason.NO_LONGER_REPORTABLE}', false) as is_gone,
            {NEVER_SENT_AND_LOST.format(row="outbox")} as is_never_sent,
            count(*) as n
        from {outbox_and_endpoints(warehouse)}
        where configured.endpoint_id is null
            and {_TRIED}
            and coalesce(outbox.endpoint_id = ?, true)
            and coalesce(outbox.enterprise_customer_uuid = ?, true)
        group by 1, 2, 3, 4, 5, 6, 7
        order by 1, 2, 3, 4, 5, 6, 7
        """,
        choice.endpoint_id,
        choice.enterprise,
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
            {name: row[name] for name in names} | {"endpoint_id": old, "new_endpoint_id": target}
        )
    return ReroutePlan(matched=moves.total(), moves=moves, stays=stays, groups=groups)


def reroute(
    warehouse: Warehouse,
    choice: Choice,
    *,
    requested_by: str,
    clock: Clock,
    at_most: int | None = None,
    reroute_id: str | None = None,
) -> Reroute:
    """Move what was tried to the customers' new endpoints and record who asked; all or nothing.

    A moved message starts a fresh schedule and carries the marker of a replay. It is held as
    ``rerouted`` until the next run has looked it up in the marts and found its new endpoint ready.
    The fence is raised, so that a late result of the old endpoint cannot undo it. A row that a run
    is at work on stays.

    A ``reroute_id`` of the caller's makes repeating the call harmless: the first one counts.

    Raises:
        RerouteGrew: more than ``at_most`` messages match by now; nothing was changed.
        StatementFailed: the warehouse refused; nothing was changed.
    """
    known = recorded_matches(warehouse, reroute_id)
    if known is not None:
        return Reroute(reroute_id, known)
    made = reroute_id or str(uuid.uuid4())
    groups = plan_reroute(warehouse, choice).groups
    if not groups:
        return Reroute(None, 0)
    now = clock().isoformat()
    with warehouse.transaction():
        moved = warehouse.bulk(
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
            """,
            groups,
            before=(now, made, now),
            after=(now,),
        )
        if at_most is not None and moved > at_most:
            raise RerouteGrew(
                f"{moved} messages match by now, {at_most} were agreed to; look again and repeat"
            )
        if moved:
            record_request(
                warehouse,
                made,
                requested_at=now,
                requested_by=requested_by,
                selection=choice.as_json(),
                matched=moved,
            )
    return Reroute(made if moved else None, moved)


def _target(row: Mapping[str, Any], endpoints: Endpoints) -> int | Stay:
    """The endpoint that a message's bytes may go to, by the rule that routes new events."""
    if row["is_gone"]:
        return Stay.NO_LONGER_REPORTABLE
    if row["is_never_sent"]:
        return Stay.NEVER_SENT
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
