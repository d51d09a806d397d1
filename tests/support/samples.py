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
from sync.operations.samples import sample_body
from sync.settings import PROJECT_ROOT
from tests.support.events import COMPLETION, ENROLLMENT, WEBHOOK_ID, content
from tests.support.marts import ENDPOINT_COLUMNS, endpoint

RECEIVING = PROJECT_ROOT / "docs" / "receiving.md"
EXAMPLE_SECRET = "whsec_" + base64.b64encode(b"an example, never a real secret!").decode()
SIGNED_AT = datetime(2026, 3, 12, 4, 10, 9)
PASSED = CompletionFacts.read(COMPLETION)
ENROLLED = EnrollmentFacts.read(ENROLLMENT)
STUDIED = LearningTime(26964, datetime(2026, 3, 12))


def bodies() -> dict[str, bytes]:
    """Every kind of body, by the name that the document gives it."""

    def completion(name: str, learning_time: LearningTime | None) -> bytes:
        return FORMATS[name].body(content(PASSED, learning_time))

    def enrollment(name: str) -> bytes:
        return FORMATS[name].body(content(ENROLLED))

    row = dict.fromkeys(ENDPOINT_COLUMNS) | endpoint(1, "https://hooks.example.com/in")
    tested = Endpoint.from_row(row)
    return {
        "completion with learning time": completion("v2", STUDIED),
        "completion without learning time": completion("v2", None),
        "enrollment": enrollment("v2"),
        "percipio completion with learning time": completion("percipio", STUDIED),
        "percipio completion without learning time": completion("percipio", None),
        "percipio enrollment": enrollment("percipio"),
        "xapi completion with learning time": completion("xapi", STUDIED),
        "xapi completion without learning time": completion("xapi", None),
        "xapi enrollment": enrollment("xapi"),
        "test event": sample_body(tested, WEBHOOK_ID, at=SIGNED_AT),
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
