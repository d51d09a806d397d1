"""The built-in formats written as files give the same bodies, byte for byte."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sync.delivery.formats import read_folder
from sync.domain.bodies import Content, IdentityMissing, PayloadError
from sync.domain.endpoint import EndpointSettings
from sync.domain.event_types import CompletionFacts
from sync.domain.facts import LearningTime
from sync.domain.formats import Formats
from sync.settings import PROJECT_ROOT
from tests.support.events import COMPLETION, content
from tests.support.generated_events import contents

EXAMPLES = PROJECT_ROOT / "docs" / "formats"
TWINS = ("v2", "percipio", "xapi")
"""The built-in formats that docs/formats.md shows as files; later ones need none."""


@pytest.fixture(scope="module")
def formats() -> Formats:
    found = read_folder(EXAMPLES)
    assert not found.problems
    return found


def said(formats: Formats, name: str, content: Content) -> bytes | None:
    """The body; None if the event is held."""
    try:
        return formats.known[name].body(content)
    except PayloadError:
        return None


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize(
    "number", [300, pytest.param(10_000, marks=pytest.mark.prove)], ids=["few", "many"]
)
def test_a_built_in_format_as_a_file_gives_the_same_bytes(
    formats: Formats, name: str, number: int
) -> None:
    seen = Counter()
    for one in contents(number):
        expected = said(formats, name, one)
        assert said(formats, f"{name}_as_file", one) == expected
        seen[one.event_type, expected is None] += 1
    assert len(seen) == (2 if name == "v2" else 4), "both events are seen, built and refused"
    assert min(seen.values()) > number / 50


@pytest.mark.parametrize("name", TWINS)
def test_what_was_sent_is_read_back_and_keeps_to_its_schema_as_that_of_the_built_in_one(
    formats: Formats, name: str
) -> None:
    built_in, mapped = formats.known[name], formats.known[f"{name}_as_file"]
    schemas = {event: body.published_schema() for event, body in mapped.bodies.items()}
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    validators = {event: Draft202012Validator(schema) for event, schema in schemas.items()}
    seen = 0
    for one in contents(100, seed=2):
        body = said(formats, name, one)
        if body is None:
            continue
        document = json.loads(body)
        assert mapped.seconds_in(document) == built_in.seconds_in(document)
        validator = validators[one.event_type]
        validator.validate(document | {"a key": "of a later version"})
        assert not validator.is_valid({}), "keys that are always there are required"
        seen += 1
    assert seen > 10


def test_a_twin_has_the_headers_statuses_and_settings_of_the_built_in_format(
    formats: Formats,
) -> None:
    for name in TWINS:
        built_in, mapped = formats.known[name], formats.known[f"{name}_as_file"]
        assert mapped.headers == built_in.headers
        assert mapped.success_statuses == built_in.success_statuses
        for row in ({}, {"xapi_actor": "account"}, {"xapi_home_page": "https://lms.example.com"}):
            settings = EndpointSettings.from_row(row)
            assert bool(mapped.lacking(settings)) == bool(built_in.lacking(settings))
            assert bool(mapped.assumption(settings)) == bool(built_in.assumption(settings))


def test_a_learner_without_an_id_is_held_for_that_and_another_gap_for_itself(
    formats: Formats,
) -> None:
    lacks_id = CompletionFacts.read(COMPLETION | {"percipio_user_id": None})
    with pytest.raises(IdentityMissing, match="needs percipio_user_id, which is not known"):
        formats.known["percipio_as_file"].body(content(lacks_id))
    no_run = CompletionFacts.read(COMPLETION | {"courserun_key": "DATA101"})
    with pytest.raises(PayloadError, match="needs course,") as caught:
        formats.known["percipio_as_file"].body(content(no_run))
    assert not isinstance(caught.value, IdentityMissing)


@pytest.mark.parametrize("seconds", [-1, 1.5, True, "5"])
def test_learning_time_that_is_no_whole_number_is_refused_by_a_file_too(
    formats: Formats, seconds: Any
) -> None:
    studied = LearningTime(seconds, datetime(2026, 3, 12))
    with pytest.raises(PayloadError, match="not a whole number of seconds"):
        formats.known["v2_as_file"].body(content(CompletionFacts.read(COMPLETION), studied))
