"""The OpenAPI 3.1 document of the webhooks, generated from the models of the bodies.

``python -m sync.operations.openapi`` writes ``docs/openapi.json``; ``docs/receiving.md`` says it in
words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from sync.domain.bodies import BodyFormat, BodyMaker, PublishedSchema
from sync.domain.endpoint import DEFAULT_AUTH_HEADER
from sync.domain.formats import FORMATS
from sync.http.headers import REPLAY_HEADER, TEST_HEADER
from sync.http.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from sync.settings import PROJECT_ROOT

PATH = PROJECT_ROOT / "docs" / "openapi.json"

VERSION = "2.0"
_RESPONSES: Mapping[str, str] = {
    "2XX": "Delivered, as is a status that we have agreed on, such as 409. Respond once the event "
    "is stored, not processed. The body is ignored.",
    "3XX": "A failure: redirects are never followed.",
    "410": "The endpoint is disabled, and this event is not sent again.",
    "429": "Slow down. The event is sent again; `Retry-After` is honored, the rate is halved.",
    "503": "Not now. The event is sent again; `Retry-After` is honored.",
    "default": "A failure: the event is sent again on the retry schedule, same id, same body.",
}


def document(formats: Mapping[str, BodyFormat] = FORMATS) -> dict[str, Any]:
    """The whole document, of these formats."""
    webhooks = [(name, body) for name, one in formats.items() for body in one.bodies.values()]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Learning-time webhooks",
            "version": VERSION,
            "description": (
                "What a receiver gets: signed as Standard Webhooks 1.0.0, at least once, in no "
                "particular order, each event under an id that never changes."
            ),
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "webhooks": {_name(body): {"post": _operation(name, body)} for name, body in webhooks},
        "components": {
            "schemas": _schemas([body for _, body in webhooks]),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "By OAuth client credentials, where the endpoint has a client.",
                },
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Where the endpoint has a user name and a password.",
                },
                "header": {
                    "type": "apiKey",
                    "in": "header",
                    "name": DEFAULT_AUTH_HEADER,
                    "description": "Where the endpoint has a secret header; its name is agreed on.",
                },
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


def _name(body: BodyMaker) -> str:
    """Of its webhook."""
    title = body.title()
    return f"{title[0].lower()}{title[1:]}"


def _operation(body_format: str, body: BodyMaker) -> dict[str, Any]:
    return {
        "operationId": _name(body),
        "summary": body.summary(),
        "description": f"Body format `{body_format}`.",
        # Whatever the endpoint wants, or nothing; the signature is always there.
        "security": [{"bearer": []}, {"basic": []}, {"header": []}, {}],
        "parameters": [{"$ref": f"#/components/parameters/{key}"} for key in _parameters()],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": f"#/components/schemas/{body.title()}"}}
            },
        },
        "responses": {status: {"description": text} for status, text in _RESPONSES.items()},
    }


def _schemas(bodies: Sequence[BodyMaker]) -> dict[str, Any]:
    """By title. Those in Python share their parts; what was made of a file stands for itself."""
    models: list[Any] = [one for one in bodies if isinstance(one, type)]
    _, made = models_json_schema(
        [(one, "validation") for one in models],
        schema_generator=PublishedSchema,
        ref_template="#/components/schemas/{model}",
    )
    mapped = {one.title(): one.published_schema() for one in bodies if one not in models}
    return made["$defs"] | mapped


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
            "One or more signatures, separated by one space, each `v1,` or `v1a,` and base64, "
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
            "A test event about no learner: verify it, respond, and record nothing. Not signed.",
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
