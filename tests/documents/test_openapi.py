"""``docs/openapi.json`` is what the code says, and bodies on the wire keep to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sync.domain.payloads import schema
from sync.operations.openapi import PATH, SCHEMAS, document, rendered
from tests.support.samples import bodies

KINDS = {
    "completion with learning time": "courseCompletion",
    "completion without learning time": "courseCompletion",
    "enrollment": "courseEnrollment",
    "percipio completion with learning time": "percipioTrack",
    "percipio completion without learning time": "percipioTrack",
    "percipio enrollment": "percipioTrack",
    "test event": "courseCompletion",
}


def resolved(reference: str) -> Any:
    """What a reference inside the document points to."""
    found: Any = document()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def body_schema(webhook: str) -> Any:
    operation = document()["webhooks"][webhook]["post"]
    return resolved(operation["requestBody"]["content"]["application/json"]["schema"]["$ref"])


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


@pytest.mark.parametrize("name", SCHEMAS.values())
def test_no_schema_is_left_out_or_rewritten(name: str) -> None:
    component = next(key for key, value in SCHEMAS.items() if value == name)
    made = document()["components"]["schemas"][component]
    given = schema(name)
    assert made == {key: value for key, value in given.items() if key not in ("$schema", "$id")}


@pytest.mark.parametrize(("kind", "webhook"), KINDS.items())
def test_each_body_on_the_wire_keeps_to_its_schema(kind: str, webhook: str) -> None:
    validator = Draft202012Validator(body_schema(webhook))
    assert list(validator.iter_errors(json.loads(bodies()[kind]))) == []


def test_a_body_of_another_kind_does_not() -> None:
    validator = Draft202012Validator(body_schema("courseEnrollment"))
    assert list(validator.iter_errors(json.loads(bodies()["completion without learning time"])))


def test_every_kind_of_body_is_looked_at() -> None:
    assert KINDS.keys() == bodies().keys()
