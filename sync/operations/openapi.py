"""The OpenAPI 3.1 document of the webhooks, generated from the schemas that bodies are checked by.

``python -m sync.operations.openapi`` writes ``docs/openapi.json``; ``docs/receiving.md`` says it in
words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sync.domain.payloads import EVENT_VERSION, schema
from sync.http.markers import REPLAY_HEADER, TEST_HEADER
from sync.http.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from sync.settings import PROJECT_ROOT

PATH = PROJECT_ROOT / "docs" / "openapi.json"

SCHEMAS = {
    "CourseCompletion": "course_completion.v2",
    "CourseEnrollment": "course_enrollment.v2",
    "PercipioTrack": "percipio_track",
}
"""Component to the name of its file in ``sync/domain/schemas``."""

_EVENTS: Mapping[str, tuple[str, str, str]] = {
    "courseCompletion": (
        "CourseCompletion",
        "A learner has passed a course run",
        "Body format `v2`. `learning_time` is there only when it is known and wanted; it is never "
        "null.",
    ),
    "courseEnrollment": (
        "CourseEnrollment",
        "A learner was enrolled in a course run",
        "Body format `v2`. Never carries learning time.",
    ),
    "percipioTrack": (
        "PercipioTrack",
        "Progress of a learner in the flat form",
        "Body format `percipio`, instead of the two others. `duration_spent` is the learning time "
        "in seconds, or null.",
    ),
}
_ANSWERS: Mapping[str, str] = {
    "2XX": "Taken. Answer once the event is stored, before it is processed. The body is ignored.",
    "3XX": "A failure: redirects are never followed.",
    "410": "The endpoint is given up: it is disabled, and this event is not sent again.",
    "429": "Slow down. The event comes again; `Retry-After` is honoured, the rate is halved.",
    "503": "Not now. The event comes again; `Retry-After` is honoured.",
    "default": "A failure: the event comes again on the retry schedule, with the same id and body.",
}


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Learning-time webhooks",
            "version": EVENT_VERSION,
            "description": (
                "What a receiver gets: signed as Standard Webhooks 1.0.0, at least once, in no "
                "particular order, each event under an id that never changes."
            ),
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "webhooks": {
            name: {"post": _operation(name, component, summary, text)}
            for name, (component, summary, text) in _EVENTS.items()
        },
        "components": {
            "schemas": {component: _component(schema(name)) for component, name in SCHEMAS.items()},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "By OAuth client credentials, where the endpoint has a client.",
                }
            },
            "parameters": _parameters(),
        },
    }


def rendered() -> str:
    """The document as the file holds it."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def write(path: Path = PATH) -> None:
    """Write the file anew."""
    path.write_text(rendered(), encoding="utf-8")


def _operation(name: str, component: str, summary: str, text: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "description": text,
        # An endpoint without an OAuth client gets no token; the signature is always there.
        "security": [{"bearer": []}, {}],
        "parameters": [{"$ref": f"#/components/parameters/{key}"} for key in _parameters()],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": f"#/components/schemas/{component}"}}
            },
        },
        "responses": {status: {"description": said} for status, said in _ANSWERS.items()},
    }


def _component(given: Mapping[str, Any]) -> dict[str, Any]:
    """A schema as a component; the dialect is said once, for the whole document."""
    return {name: value for name, value in given.items() if name not in ("$schema", "$id")}


def _parameters() -> dict[str, dict[str, Any]]:
    return {
        "WebhookId": _header(
            ID_HEADER,
            "Id of the event, the same in every attempt and replay: drop what you have already "
            "handled. A UUID; that of a test event begins with `test-`.",
            {"type": "string", "minLength": 1, "maxLength": 255},
        ),
        "WebhookTimestamp": _header(
            TIMESTAMP_HEADER,
            "When this attempt was signed, in whole unix seconds. Refuse more than 300 s either "
            "way.",
            {"type": "string", "pattern": "^[0-9]{1,12}$"},
        ),
        "WebhookSignature": _header(
            SIGNATURE_HEADER,
            "One or more signatures, separated by one blank, each `v1,` or `v1a,` and base64, "
            "over `{webhook-id}.{webhook-timestamp}.` and the raw body. One that verifies is "
            "enough.",
            {"type": "string", "pattern": "^v1a?,[A-Za-z0-9+/=]+( v1a?,[A-Za-z0-9+/=]+)*$"},
        ),
        "WebhookReplay": _header(
            REPLAY_HEADER,
            "An operator asked for this event to be sent: again, or later than usual. Not signed.",
            {"const": "true"},
            is_required=False,
        ),
        "WebhookTest": _header(
            TEST_HEADER,
            "A test event that tells of no learner: verify, answer, and book nothing. Not signed.",
            {"const": "true"},
            is_required=False,
        ),
    }


def _header(
    name: str, text: str, shape: Mapping[str, Any], *, is_required: bool = True
) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": is_required,
        "description": text,
        "schema": dict(shape),
    }


if __name__ == "__main__":
    write()
