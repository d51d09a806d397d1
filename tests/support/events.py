"""One invented completion and one enrollment, as the outbox holds their facts."""

from __future__ import annotations

from typing import Any

LEARNER: dict[str, Any] = {
    "enterprise_customer_uuid": "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8",
    "enterprise_customer_name": "Example Industries",
    "user_id": 90417,
    "username": "learner_90417",
    "email": "learner@example.com",
    "courserun_key": "course-v1:ExampleX+DATA101+2026_T1",
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
