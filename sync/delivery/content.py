"""What a recorded row says: its facts, its key, its route, and the body that follows from them."""

from __future__ import annotations

from sync.delivery.endpoints import Endpoints
from sync.delivery.learning_time import CompletionKey
from sync.domain.event_types import EVENT_TYPES
from sync.domain.facts import Facts
from sync.domain.routing import NotRouted, Routed, choose_endpoint, region_of
from sync.ledger.outbox import Unfrozen


def facts_of(row: Unfrozen) -> Facts:
    """The typed facts of a row.

    Raises:
        FactsError: a fact is missing or unusable; the text names it.
    """
    return EVENT_TYPES[row.event_type].facts.read(row.facts)


def key_of(row: Unfrozen) -> CompletionKey:
    """What its learning time is looked up by."""
    return CompletionKey(row.enterprise_customer_uuid, row.user_id, row.courserun_key)


def route_of(row: Unfrozen, endpoints: Endpoints) -> Routed | NotRouted:
    """Where it goes, by the learner's country, or why nowhere."""
    return choose_endpoint(
        region_of(_text(row, "learner_country"), _text(row, "enterprise_country")),
        endpoints.by_enterprise.get(row.enterprise_customer_uuid, ()),
        event_type=EVENT_TYPES[row.event_type],
    )


def wants_learning_time(row: Unfrozen, route: Routed | NotRouted) -> bool:
    """Whether learning time belongs in the message: where the event and the endpoint have it."""
    return (
        EVENT_TYPES[row.event_type].has_learning_time
        and isinstance(route, Routed)
        and route.endpoint.is_learning_time_enabled
    )


def _text(row: Unfrozen, fact: str) -> str | None:
    value = row.facts.get(fact)
    return value if isinstance(value, str) else None
