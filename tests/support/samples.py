"""Bodies shown in the documents, built by the same code as the bodies on the wire."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from sync.delivery.formats import known_formats
from sync.domain.endpoint import Endpoint
from sync.domain.event_types import CompletionFacts, EnrollmentFacts
from sync.domain.facts import LearningTime
from sync.domain.formats import FORMATS
from sync.domain.responses import ResponseWithBody
from sync.http.headers import request_headers
from sync.http.oauth import TokenSource, client_secret_name
from sync.http.secrets import SecretStore, environment_variable
from sync.http.signing import parse_key
from sync.operations.samples import examples, sample_body
from sync.settings import PROJECT_ROOT
from tests.support.events import COMPLETION, ENROLLMENT, WEBHOOK_ID, content, correction
from tests.support.marts import ENDPOINT_COLUMNS, endpoint

RECEIVING = PROJECT_ROOT / "docs" / "receiving.md"
EXAMPLE_SECRET = "whsec_" + base64.b64encode(b"an example, never a real secret!").decode()
SIGNED_AT = datetime(2026, 3, 12, 4, 10, 9)
PASSED = CompletionFacts.read(COMPLETION)
ENROLLED = EnrollmentFacts.read(ENROLLMENT)
STUDIED = LearningTime(26964, datetime(2026, 3, 12))
MOVED = LearningTime(30069, datetime(2026, 3, 15))


OTHERS = {
    f"{name} {event_type}": (name, event_type)
    for name, one in known_formats({}).known.items()
    for event_type in one.bodies
    if event_type not in FORMATS[name].bodies
}
"""Kinds of bodies defined in a file, with their format and event type."""


def bodies() -> dict[str, bytes]:
    """Every kind of body, by its name in the document."""

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
        "correction": FORMATS["v2"].body(correction(PASSED, MOVED)),
        "percipio completion with learning time": completion("percipio", STUDIED),
        "percipio completion without learning time": completion("percipio", None),
        "percipio enrollment": enrollment("percipio"),
        "xapi completion with learning time": completion("xapi", STUDIED),
        "xapi completion without learning time": completion("xapi", None),
        "xapi enrollment": enrollment("xapi"),
        "xapi correction": FORMATS["xapi"].body(correction(PASSED, MOVED)),
        "test event": sample_body(tested, WEBHOOK_ID, at=SIGNED_AT),
        **{
            kind: examples(known_formats({}).known[name])[event_type]
            for kind, (name, event_type) in OTHERS.items()
        },
    }


def blocks() -> dict[str, str]:
    """Everything in ``docs/receiving.md`` that code generates, by the name of its marker."""
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
    asked, _ = token_request(oauth_client_id="your-client", oauth_audience="webhooks")
    return made | {
        "signed example": "\n".join([*lines, "", body.decode()]),
        "token request": json.dumps(json.loads(asked), indent=2),
    }


def token_request(**settings: object) -> tuple[bytes, str]:
    """A token request and its content type."""
    seen: list[tuple[bytes, str]] = []

    class Poster:
        def post_for_body(
            self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
        ) -> ResponseWithBody:
            seen.append((body, headers["Content-Type"]))
            return ResponseWithBody(200, b'{"access_token": "t", "expires_in": 60}')

    row = dict.fromkeys(ENDPOINT_COLUMNS) | endpoint(1, "https://hooks.example.com/in")
    asking = Endpoint.from_row(row | {"token_url": "https://login.example.com/token"} | settings)
    name = environment_variable(client_secret_name(1))
    TokenSource(Poster(), SecretStore({name: "your-client-s-secret"}, None)).authorization(asking)
    (found,) = seen
    return found


def shown(path: Path = RECEIVING) -> dict[str, str]:
    """The blocks in the document: a comment with the name, then a fenced block."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"<!-- made: ([^>]+?) -->\n+```\w*\n(.*?)\n```", text, flags=re.DOTALL)
    return dict(found)


def code(language: str) -> str:
    """The function in the language, without a library."""
    first, *_ = _code(language)
    return first


def code_with_a_library(language: str) -> str:
    """The function in the language with a library, which follows the other one."""
    _, second = _code(language)
    return second


def _code(language: str) -> list[str]:
    text = RECEIVING.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)\n```", text, flags=re.DOTALL)
