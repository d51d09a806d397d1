"""Events about no real learner, for test events and for samples of what an endpoint gets."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, get_args

from sync.domain.bodies import BodyFormat, Content
from sync.domain.endpoint import Endpoint, EndpointSettings
from sync.domain.event_types import COURSE_COMPLETION, EventType, completions, event_types
from sync.domain.facts import Correction, Facts, LearningTime
from sync.domain.routing import NotRouted, choose_endpoint
from sync.domain.states import Reason

SAMPLE_USER_ID = 0
SAMPLE_PERCIPIO_ID = "00000000-0000-4000-8000-000000000000"
SAMPLE_TEXT = "Test event"
SAMPLE_SECONDS = 3_600
EXAMPLE: Mapping[str, object] = {
    "enterprise_customer_uuid": "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8",
    "enterprise_customer_name": "Example Industries",
    "user_id": 90417,
    "username": "learner_90417",
    "email": "learner@example.com",
    "courserun_key": "course-v1:ExampleX+DATA101+2026_T1",
    "course_name": "Data for Everybody",
    "percent_grade": 0.88,
    "letter_grade": "B",
    "enrollment_mode": "verified",
    "certificate_mode": "verified",
    "learner_country": "DE",
    "enterprise_country": "US",
    "percipio_user_id": "3b8e6a90-41d2-4f7c-8a15-c0d9e7f21b64",
    "percipio_organization_id": "e51f07c8-9a2b-4d36-b7e0-1c84d5a3f902",
}
"""What documents show; the people and companies are fictional."""
EXAMPLE_AT = datetime(2026, 3, 12, 4, 10, 7, tzinfo=UTC)
EXAMPLE_SECONDS = 26_964
EXAMPLE_SETTINGS = {"xapi_course_iri": "https://lms.example.com/courses/{courserun_key}"}
LEARNER: Mapping[str, object] = {
    "enterprise_customer_name": SAMPLE_TEXT,
    "user_id": SAMPLE_USER_ID,
    "username": "test_event",
    "email": "test.event@example.com",
    "courserun_key": "course-v1:TestEvent+TEST+2026",
    "course_name": SAMPLE_TEXT,
    "learner_country": "US",
    "enterprise_country": "US",
    "percipio_user_id": SAMPLE_PERCIPIO_ID,
    "percipio_organization_id": SAMPLE_PERCIPIO_ID,
    "letter_grade": "Pass",
    "enrollment_mode": "verified",
    "certificate_mode": "verified",
}


def sample_body(
    endpoint: Endpoint, event_id: str, *, at: datetime, event_type: EventType | None = None
) -> bytes:
    """An event about no real learner, a completion by default, of the endpoint's own customer, with
    an hour of learning time if the type has it and the endpoint wants it.

    Raises:
        PayloadError: the endpoint's format has no such event.
    """
    event_type = event_type or completions()
    now = at.replace(tzinfo=UTC)
    has_learning_time = event_type.has_learning_time and endpoint.is_learning_time_enabled
    return endpoint.format.body(
        Content(
            webhook_id=event_id,
            event_type=event_type.name,
            facts=_facts(
                event_type,
                {**LEARNER, "enterprise_customer_uuid": endpoint.enterprise_customer_uuid},
                now,
            ),
            recorded_at=now,
            settings=endpoint,
            learning_time=LearningTime(SAMPLE_SECONDS, now) if has_learning_time else None,
            correction=_correction(event_type),
        )
    )


def samples(endpoint: Endpoint, *, at: datetime) -> dict[str, bytes]:
    """A body of each type of event that the endpoint gets, by the type's name."""
    return {
        name: sample_body(endpoint, _event_id(name), at=at, event_type=one)
        for name, one in event_types().items()
        if name in endpoint.format.bodies and _is_wanted(endpoint, one)
    }


def _is_wanted(endpoint: Endpoint, event_type: EventType) -> bool:
    """Whether it gets such events, apart from a filter by course."""
    on = endpoint.model_copy(update={"is_active": True})
    route = choose_endpoint(on.region, [on], event_type=event_type)
    is_taken = not isinstance(route, NotRouted) or route.reason is Reason.FILTERED
    has_number = endpoint.is_learning_time_enabled or _correction(event_type) is None
    return event_type.enabled and is_taken and has_number


def examples(body_format: BodyFormat) -> dict[str, bytes]:
    """A body of each type of event that a format has, as documents show it."""
    return {
        name: body_format.body(
            Content(
                webhook_id=_event_id(name),
                event_type=name,
                facts=_facts(one, EXAMPLE, EXAMPLE_AT),
                recorded_at=EXAMPLE_AT,
                settings=EndpointSettings.from_row(EXAMPLE_SETTINGS),
                learning_time=(
                    LearningTime(EXAMPLE_SECONDS, EXAMPLE_AT) if one.has_learning_time else None
                ),
                correction=_correction(one),
            )
        )
        for name, one in event_types().items()
        if name in body_format.bodies
    }


def _correction(event_type: EventType) -> Correction | None:
    """What an event corrects: the sample completion."""
    if event_type.found_in is None:
        return None
    return Correction(corrects=_event_id(COURSE_COMPLETION), number=1)


def _event_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.example.com"))


def _facts(event_type: EventType, known: Mapping[str, object], at: datetime) -> Facts:
    return event_type.facts_class.model_validate(
        {
            name: known[name] if name in known else _example(field.annotation, at)
            for name, field in event_type.facts_class.model_fields.items()
            if name in known or field.is_required()
        }
    )


def _example(annotation: Any, at: datetime) -> object:
    """A value for a fact of any type that a fact can have."""
    kinds = get_args(annotation) or (annotation,)
    values = ((datetime, at), (bool, True), (int, 1), (float, 1.0))
    return next((value for kind, value in values if kind in kinds), SAMPLE_TEXT)
