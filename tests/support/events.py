"""One invented completion and one enrollment, as in their marts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sync.domain.bodies import Content
from sync.domain.endpoint import EndpointSettings
from sync.domain.event_types import COURSE_COMPLETION_CORRECTION, OWN_FACTS
from sync.domain.facts import Correction, Facts, LearningTime

WEBHOOK_ID = "2ec0acb6-9811-54aa-9664-a87ac95ae27f"
CORRECTION_ID = "9b6a4f0e-3c52-5f18-8d27-71f0a3c5e964"
RECORDED_AT = datetime(2026, 3, 12, 4, 10, 7, 123456, tzinfo=UTC)
CORRECTED_AT = datetime(2026, 3, 15, 4, 10, 7, tzinfo=UTC)
XAPI = {"xapi_course_iri": "https://lms.example.com/courses/{courserun_key}"}
"""Required settings of an endpoint of format ``xapi``."""

LEARNER: dict[str, Any] = {
    "enterprise_customer_uuid": "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8",
    "enterprise_customer_name": "Example Industries",
    "user_id": 90417,
    "username": "learner_90417",
    "email": "learner@example.com",
    "courserun_key": "course-v1:ExampleX+DATA101+2026_T1",
    "course_name": "Data for Everybody",
    "learner_country": "DE",
    "enterprise_country": "US",
    "percipio_user_id": "3b8e6a90-41d2-4f7c-8a15-c0d9e7f21b64",
    "percipio_organization_id": "e51f07c8-9a2b-4d36-b7e0-1c84d5a3f902",
}
COMPLETION: dict[str, Any] = LEARNER | {
    "passed_at": "2026-03-10T17:42:31",
    "percent_grade": 0.88,
    "letter_grade": "B",
}
ENROLLMENT: dict[str, Any] = LEARNER | {
    "enrollment_mode": "verified",
    "is_enrolled": True,
    "enrolled_at": "2026-01-19T08:59:58",
}


def content(facts: Facts, learning_time: LearningTime | None = None, **settings: Any) -> Content:
    """The content for a body about an event, for an endpoint with these settings."""
    return Content(
        webhook_id=WEBHOOK_ID,
        event_type=next(name for name, made in OWN_FACTS.items() if type(facts) is made),
        facts=facts,
        recorded_at=RECORDED_AT,
        settings=EndpointSettings.from_row(XAPI | settings),
        learning_time=learning_time,
    )


def correction(facts: Facts, learning_time: LearningTime | None) -> Content:
    """The content for a body about a correction of that event."""
    return replace(
        content(facts, learning_time),
        webhook_id=CORRECTION_ID,
        event_type=COURSE_COMPLETION_CORRECTION,
        recorded_at=CORRECTED_AT,
        correction=Correction(WEBHOOK_ID, number=1, told_seconds=26964),
    )
