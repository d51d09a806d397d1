"""Bodies that the documents show, made by the code that makes those on the wire."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime
from pathlib import Path

from sync.domain.endpoint import Endpoint
from sync.domain.event_types import CompletionFacts, EnrollmentFacts
from sync.domain.facts import LearningTime
from sync.domain.formats import FORMATS
from sync.http.headers import request_headers
from sync.http.signing import parse_key
from sync.operations.test_send import sample_body
from sync.settings import PROJECT_ROOT
from tests.support.marts import ENDPOINT_COLUMNS, endpoint

RECEIVING = PROJECT_ROOT / "docs" / "receiving.md"
EXAMPLE_SECRET = "whsec_" + base64.b64encode(b"an example, never a real secret!").decode()
WEBHOOK_ID = "2ec0acb6-9811-54aa-9664-a87ac95ae27f"
RECORDED_AT = datetime(2026, 3, 12, 4, 10, 7)
SIGNED_AT = datetime(2026, 3, 12, 4, 10, 9)
LEARNER = {
    "enterprise_customer_uuid": "7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8",
    "enterprise_customer_name": "Example Industries",
    "user_id": 90417,
    "username": "learner_90417",
    "email": "learner@example.com",
    "courserun_key": "course-v1:ExampleX+DATA101+2026_T1",
    "learner_country": "US",
    "percipio_user_id": "3b8e6a90-41d2-4f7c-8a15-c0d9e7f21b64",
    "percipio_organization_id": "e51f07c8-9a2b-4d36-b7e0-1c84d5a3f902",
}
PASSED = CompletionFacts.read(
    LEARNER | {"passed_at": "2026-03-10T17:42:31", "percent_grade": 0.88, "letter_grade": "B"}
)
ENROLLED = EnrollmentFacts.read(
    LEARNER
    | {"enrolled_at": "2026-01-19T08:59:58", "enrollment_mode": "verified", "is_enrolled": True}
)
STUDIED = LearningTime(26964, datetime(2026, 3, 12))


def bodies() -> dict[str, bytes]:
    """Every kind of body, by the name that the document gives it."""

    def completion(name: str, learning_time: LearningTime | None) -> bytes:
        return FORMATS[name].body(PASSED, recorded_at=RECORDED_AT, learning_time=learning_time)

    def enrollment(name: str) -> bytes:
        return FORMATS[name].body(ENROLLED, recorded_at=RECORDED_AT)

    row = dict.fromkeys(ENDPOINT_COLUMNS) | endpoint(1, "https://hooks.example.com/in")
    tested = Endpoint.from_row(row)
    return {
        "completion with learning time": completion("v2", STUDIED),
        "completion without learning time": completion("v2", None),
        "enrollment": enrollment("v2"),
        "percipio completion with learning time": completion("percipio", STUDIED),
        "percipio completion without learning time": completion("percipio", None),
        "percipio enrollment": enrollment("percipio"),
        "test event": sample_body(tested, at=SIGNED_AT),
    }


def blocks() -> dict[str, str]:
    """Everything in ``docs/receiving.md`` that is made by code, by the name of its mark."""
    made = {name: json.dumps(json.loads(body), indent=2) for name, body in bodies().items()}
    body = bodies()["percipio completion with learning time"]
    headers = request_headers(
        webhook_id=WEBHOOK_ID,
        body=body,
        keys=[parse_key(EXAMPLE_SECRET)],
        clock=lambda: SIGNED_AT,
    )
    headers.pop("Content-Type")
    lines = [f"secret: {EXAMPLE_SECRET}", *(f"{name}: {value}" for name, value in headers.items())]
    return made | {"signed example": "\n".join([*lines, "", body.decode()])}


def shown(path: Path = RECEIVING) -> dict[str, str]:
    """The blocks as the document has them: a comment with the name, then a fenced block."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"<!-- made: ([^>]+?) -->\n+```\w*\n(.*?)\n```", text, flags=re.DOTALL)
    return dict(found)


def code(language: str, path: Path = RECEIVING) -> str:
    """The one block of code in a language."""
    (found,) = re.findall(
        rf"```{language}\n(.*?)\n```", path.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    return found
