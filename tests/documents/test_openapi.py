"""``docs/openapi.json`` is what the code says, and bodies on the wire keep to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sync.operations.openapi import PATH, document, rendered
from tests.support.samples import bodies

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
    "test event": "courseCompletion",
}


def resolved(reference: str) -> Any:
    """What a reference inside the document points to."""
    found: Any = document()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def body_validator(webhook: str) -> Draft202012Validator:
    operation = document()["webhooks"][webhook]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return Draft202012Validator(schema | {"components": document()["components"]})


def test_the_file_is_up_to_date() -> None:
    assert PATH.read_text(encoding="utf-8") == rendered(), "run: python -m sync.operations.openapi"


def test_it_has_what_openapi_3_1_wants() -> None:
    made = document()
    assert made["openapi"].startswith("3.1.")
    assert {"title", "version"} <= made["info"].keys()
    for webhook in made["webhooks"].values():
        operation = webhook["post"]
        assert operation["responses"]
        for parameter in operation["parameters"]:
            assert {"name", "in", "required", "schema"} <= resolved(parameter["$ref"]).keys()


@pytest.mark.parametrize(("kind", "webhook"), KINDS.items())
def test_each_body_on_the_wire_keeps_to_its_schema(kind: str, webhook: str) -> None:
    validator = body_validator(webhook)
    assert list(validator.iter_errors(json.loads(bodies()[kind]))) == []


def test_a_body_of_another_kind_does_not() -> None:
    validator = body_validator("courseEnrollment")
    assert list(validator.iter_errors(json.loads(bodies()["completion without learning time"])))


def test_every_kind_of_body_is_looked_at() -> None:
    assert KINDS.keys() == bodies().keys()
    assert set(KINDS.values()) == document()["webhooks"].keys()
