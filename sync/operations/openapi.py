"""The OpenAPI 3.1 document of the webhooks, generated from the models of the bodies.

``python -m sync.operations.openapi`` writes ``docs/openapi.json``, which knows no installation;
``ltw formats openapi`` prints that of this one. ``docs/receiving.md`` describes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from sync.delivery.formats import known_formats
from sync.domain.bodies import BodyFormat, BodyMaker, PublishedSchema
from sync.domain.endpoint import DEFAULT_AUTH_HEADER
from sync.http.headers import REPLAY_HEADER, TEST_HEADER, USER_AGENT
from sync.http.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from sync.operations.samples import examples
from sync.operations.sender import NOBODY, Sender
from sync.settings import PROJECT_ROOT

PATH = PROJECT_ROOT / "docs" / "openapi.json"

VERSION = "2.0"
_RESPONSES: Mapping[str, str] = {
    "2XX": "Delivered. So is any other status agreed on, such as 409. Respond once the event is "
    "stored; process it later. The body is ignored.",
    "3XX": "A failure: redirects are never followed.",
    "410": "The endpoint is disabled, and this event is not sent again.",
    "429": "Too fast. The event is sent again; `Retry-After` is honored and the rate is halved.",
    "503": "Unavailable. The event is sent again; `Retry-After` is honored.",
    "default": "A failure: the event is sent again on the retry schedule, with the same id and "
    "body.",
}
_TOKEN_BODY = {"schema": {"$ref": "#/components/schemas/TokenRequest"}}
_TOKEN_RESPONSE = {"schema": {"$ref": "#/components/schemas/TokenResponse"}}
_TOKEN_REQUEST: Mapping[str, Any] = {
    "operationId": "tokenRequest",
    "summary": "A token request, if you have given us an OAuth client.",
    "description": (
        "Client credentials, RFC 6749, section 4.4: as JSON or, if agreed, as a form. The token is "
        "kept until a minute before it expires, and dropped when you respond with 401."
    ),
    "security": [{}],
    "parameters": [{"$ref": "#/components/parameters/UserAgent"}],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": _TOKEN_BODY,
            "application/x-www-form-urlencoded": _TOKEN_BODY,
        },
    },
    "responses": {
        "200": {"description": "The token.", "content": {"application/json": _TOKEN_RESPONSE}},
        "default": {"description": "A failure: the event is sent again on the retry schedule."},
    },
}
_TOKEN_SCHEMAS: Mapping[str, Any] = {
    "TokenRequest": {
        "type": "object",
        "required": ["client_id", "client_secret", "grant_type"],
        "properties": {
            "client_id": {"type": "string"},
            "client_secret": {"type": "string"},
            "grant_type": {"const": "client_credentials", "type": "string"},
            "scope": {"type": "string", "examples": ["api"]},
            "audience": {"type": "string"},
        },
    },
    "TokenResponse": {
        "type": "object",
        "required": ["access_token"],
        "properties": {
            "access_token": {"type": "string", "maxLength": 8192},
            "expires_in": {"type": "number", "description": "In seconds; 300 if absent."},
        },
    },
}


def document(
    formats: Mapping[str, BodyFormat] | None = None, sender: Sender = NOBODY
) -> dict[str, Any]:
    """The whole document: for these formats, by default those of the project, and this sender."""
    formats = formats or known_formats({}).known
    bodies = [body for one in formats.values() for body in one.bodies.values()]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Learning-time webhooks",
            "version": VERSION,
            "description": (
                "What a receiver gets: signed per Standard Webhooks 1.0.0, at least once, in no "
                "particular order, each event with a permanent id."
            ),
            **({"contact": _contact(sender.contact)} if sender.contact else {}),
        },
        "servers": _servers("endpoint", "hooks.example.com", "in"),
        **({"x-sending-addresses": list(sender.addresses)} if sender.addresses else {}),
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "webhooks": {
            **{
                operation["operationId"]: {"post": operation}
                for name, one in formats.items()
                for operation in _operations(name, one)
            },
            "tokenRequest": {
                "servers": _servers("token endpoint", "login.example.com", "token"),
                "post": _TOKEN_REQUEST,
            },
        },
        "components": {
            "schemas": _schemas(bodies) | dict(_TOKEN_SCHEMAS),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "OAuth client credentials, if the endpoint has a client.",
                },
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "If the endpoint has a user name and a password.",
                },
                "header": {
                    "type": "apiKey",
                    "in": "header",
                    "name": DEFAULT_AUTH_HEADER,
                    "description": "If the endpoint has a secret header. We agree on its name.",
                },
            },
            "parameters": _parameters(),
        },
    }


def rendered(made: Mapping[str, Any]) -> str:
    """A document as a file holds it."""
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _servers(what: str, host: str, path: str) -> list[dict[str, Any]]:
    return [
        {
            "url": "https://{host}/{path}",
            "description": f"Your {what}, as you gave it to us.",
            "variables": {"host": {"default": host}, "path": {"default": path}},
        }
    ]


def _contact(text: str) -> dict[str, str]:
    """The contact object: a URL, an email address or a name."""
    if text.startswith(("https://", "http://")):
        return {"url": text}
    return {"email" if re.fullmatch(r"[^\s@]+@[^\s@]+", text) else "name": text}


def _name(body: BodyMaker) -> str:
    """The operation id of its webhook."""
    title = body.title()
    return f"{title[0].lower()}{title[1:]}"


def _operations(name: str, body_format: BodyFormat) -> Iterator[dict[str, Any]]:
    """One operation for each event type that the format has a body for."""
    parameters = [{"$ref": f"#/components/parameters/{key}"} for key in _parameters()]
    parameters += [
        _header(header.lower(), "Specific to this format.", {"const": value})
        for header, value in body_format.headers.items()
    ]
    shown = examples(body_format)
    for event_type, body in body_format.bodies.items():
        content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{body.title()}"}}
        if event_type in shown:
            content["examples"] = {"sample": {"value": json.loads(shown[event_type])}}
        yield {
            "operationId": _name(body),
            "summary": body.summary(),
            "description": f"Body format `{name}`.",
            # Whatever the endpoint wants, or nothing; the signature is always there.
            "security": [{"bearer": []}, {"basic": []}, {"header": []}, {}],
            "parameters": parameters,
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": {status: {"description": text} for status, text in _RESPONSES.items()},
        }


def _schemas(bodies: Sequence[BodyMaker]) -> dict[str, Any]:
    """By title. Python models share their definitions; a schema from a file stands alone."""
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
            "Id of the event, the same in every attempt and replay: ignore an id you have already "
            "handled. A UUID; for a test event it has the prefix `test-`.",
            {"type": "string", "minLength": 1, "maxLength": 255},
        ),
        "WebhookTimestamp": _header(
            TIMESTAMP_HEADER,
            "When this attempt was signed, in whole Unix seconds. Reject it if it differs from "
            "the current time by more than 300 s.",
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
            "An operator requested this event: it is sent again, or later than usual. Not signed.",
            {"const": "true"},
            is_required=False,
        ),
        "WebhookTest": _header(
            TEST_HEADER,
            "A test event about no learner: verify it, respond, and record nothing. Not signed.",
            {"const": "true"},
            is_required=False,
        ),
        "UserAgent": _header(
            "user-agent",
            "The sender; the number after the slash may increase.",
            {"type": "string", "examples": [USER_AGENT]},
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
    PATH.write_text(rendered(document()), encoding="utf-8")
