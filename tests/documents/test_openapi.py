"""``docs/openapi.json`` matches the code, and bodies on the wire conform to it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from jsonschema import Draft202012Validator

from sync.delivery.formats import known_formats
from sync.operations.openapi import PATH, document, rendered
from tests.support.command_line import command_line
from tests.support.samples import OTHERS, bodies, token_request

KINDS = {
    "completion with learning time": "courseCompletion",
    "completion without learning time": "courseCompletion",
    "enrollment": "courseEnrollment",
    "percipio completion with learning time": "percipioCompletion",
    "percipio completion without learning time": "percipioCompletion",
    "percipio enrollment": "percipioEnrollment",
    "xapi completion with learning time": "xapiCompletion",
    "xapi completion without learning time": "xapiCompletion",
    "xapi enrollment": "xapiEnrollment",
    "correction": "courseCompletionCorrection",
    "xapi correction": "xapiCorrection",
    "test event": "courseCompletion",
} | {
    kind: f"{title[0].lower()}{title[1:]}"
    for kind, (body_format, event_type) in OTHERS.items()
    for title in [known_formats({}).known[body_format].bodies[event_type].title()]
}


def resolved(reference: str) -> Any:
    """The target of a reference inside the document."""
    found: Any = document()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def body_validator(webhook: str) -> Draft202012Validator:
    operation = document()["webhooks"][webhook]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return Draft202012Validator(schema | {"components": document()["components"]})


def test_the_file_is_up_to_date() -> None:
    made = rendered(document())
    assert PATH.read_text(encoding="utf-8") == made, "run: python -m sync.operations.openapi"


def test_it_has_what_openapi_3_1_wants() -> None:
    made = document()
    assert made["openapi"].startswith("3.1.")
    assert {"title", "version"} <= made["info"].keys()
    for webhook in made["webhooks"].values():
        operation = webhook["post"]
        assert operation["responses"]
        for given in operation["parameters"]:
            parameter = resolved(given["$ref"]) if "$ref" in given else given
            assert {"name", "in", "required", "schema"} <= parameter.keys()


@pytest.mark.parametrize(("kind", "webhook"), KINDS.items())
def test_each_body_on_the_wire_keeps_to_its_schema(kind: str, webhook: str) -> None:
    validator = body_validator(webhook)
    assert list(validator.iter_errors(json.loads(bodies()[kind]))) == []


def test_a_body_of_another_kind_does_not() -> None:
    validator = body_validator("courseEnrollment")
    assert list(validator.iter_errors(json.loads(bodies()["completion without learning time"])))


def test_every_kind_of_body_is_looked_at() -> None:
    assert KINDS.keys() == bodies().keys()
    assert {*KINDS.values(), "tokenRequest"} == document()["webhooks"].keys()


def test_each_webhook_shows_a_sample_that_keeps_to_its_schema() -> None:
    webhooks = document()["webhooks"]
    for name in set(KINDS.values()):
        content = webhooks[name]["post"]["requestBody"]["content"]["application/json"]
        sample = content["examples"]["sample"]["value"]
        assert list(body_validator(name).iter_errors(sample)) == []
        assert list(body_validator(name).iter_errors(sample | {"one_more": 1})) == []


@pytest.mark.parametrize("is_form", [False, True], ids=["json", "form"])
def test_a_token_is_asked_for_as_described(is_form: bool) -> None:
    body, content_type = token_request(
        oauth_client_id="us", oauth_audience="a", is_oauth_form=is_form
    )
    content = document()["webhooks"]["tokenRequest"]["post"]["requestBody"]["content"]
    schema = content[content_type]["schema"] | {"components": document()["components"]}
    given = dict(parse_qsl(body.decode())) if is_form else json.loads(body)
    assert list(Draft202012Validator(schema).iter_errors(given)) == []
    assert given.keys() == resolved("#/components/schemas/TokenRequest")["properties"].keys()


@pytest.mark.parametrize(
    ("contact", "shown"),
    [
        ("webhooks@example.com", {"email": "webhooks@example.com"}),
        ("https://support.example.com", {"url": "https://support.example.com"}),
        ("Example Learning, +1 555 0100", {"name": "Example Learning, +1 555 0100"}),
    ],
)
def test_an_installation_says_from_where_it_sends_and_whom_to_ask(
    contact: str,
    shown: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LTW_SENDING_ADDRESSES", "203.0.113.64/26")
    monkeypatch.setenv("LTW_SUPPORT_CONTACT", contact)
    made = command_line(monkeypatch, capfd)("formats", "openapi").document
    assert made["x-sending-addresses"] == ["203.0.113.64/26"]
    assert made["info"]["contact"] == shown
    assert "contact" not in document()["info"], "the one in the repository knows no installation"
