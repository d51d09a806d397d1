"""What a recorded row says: its facts, its key, its route, and the body that follows from them."""

from __future__ import annotations

from sync.delivery.endpoints import Endpoints
from sync.delivery.learning_time import CompletionKey
from sync.domain.facts import CompletionFacts, EnrollmentFacts, EventType
from sync.domain.payloads import LearningTime, PayloadFormat, completion_body, enrollment_body
from sync.domain.routing import NotRouted, Routed, choose_endpoint, region_of
from sync.ledger.outbox import Unfrozen


def facts_of(row: Unfrozen) -> CompletionFacts | EnrollmentFacts:
    """The typed facts of a row.

    Raises:
        FactsError: a fact is missing or unusable; the text names it.
    """
    match EventType(row.event_type):
        case EventType.COURSE_COMPLETION:
            return CompletionFacts.from_mapping(row.facts)
        case EventType.COURSE_ENROLLMENT:
            return EnrollmentFacts.from_mapping(row.facts)


def body_of(
    facts: CompletionFacts | EnrollmentFacts,
    row: Unfrozen,
    payload_format: PayloadFormat,
    learning_time: LearningTime | None,
) -> bytes:
    """The bytes to send, for ever; its time is the moment of detection.

    Raises:
        PayloadError: the format cannot carry these facts; the text names what is missing.
    """
    match facts:
        case CompletionFacts():
            return completion_body(
                facts,
                payload_format=payload_format,
                timestamp=row.recorded_at,
                learning_time=learning_time,
            )
        case EnrollmentFacts():
            return enrollment_body(facts, payload_format=payload_format, timestamp=row.recorded_at)


def key_of(row: Unfrozen) -> CompletionKey:
    """What its learning time is looked up by."""
    return CompletionKey(row.enterprise_customer_uuid, row.user_id, row.courserun_key)


def route_of(row: Unfrozen, endpoints: Endpoints) -> Routed | NotRouted:
    """Where it goes, by the learner's country, or why nowhere."""
    return choose_endpoint(
        region_of(_text(row, "learner_country"), _text(row, "enterprise_country")),
        endpoints.by_enterprise.get(row.enterprise_customer_uuid, ()),
        event_type=EventType(row.event_type),
    )


def wants_learning_time(row: Unfrozen, route: Routed | NotRouted) -> bool:
    """Whether learning time belongs in the message: in completions only, where it is wanted."""
    return (
        row.event_type == EventType.COURSE_COMPLETION
        and isinstance(route, Routed)
        and route.endpoint.is_learning_time_enabled
    )


def _text(row: Unfrozen, fact: str) -> str | None:
    value = row.facts.get(fact)
    return value if isinstance(value, str) else None
