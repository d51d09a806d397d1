"""Bodies: exact bytes, derived by hand from the contract and not by the code under test."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sync.domain.bodies import Body, PayloadError, PublishedSchema
from sync.domain.event_types import CompletionFacts, EnrollmentFacts
from sync.domain.facts import LearningTime
from sync.domain.formats import FORMATS
from sync.domain.formats.percipio import PercipioCompletion, PercipioEnrollment, content_id
from sync.domain.formats.v2 import CourseCompletion
from tests.support.events import COMPLETION, ENROLLMENT

pytestmark = pytest.mark.usefixtures("local_zone")

RECORDED_AT = datetime(2026, 3, 12, 4, 10, 7, 123456, tzinfo=UTC)
STUDIED = LearningTime(26964, datetime(2026, 3, 12))
NAMES = ("percipio", "v2")
BODIES = [body for one in FORMATS.values() for body in one.bodies.values()]
WITHOUT_LEARNING_TIME = (
    '{"event_type":"course_completion","event_version":"2.0","event_source":"openedx_events",'
    '"timestamp":"2026-03-12T04:10:07Z",'
    '"enterprise_customer":{"uuid":"7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8",'
    '"name":"Example Industries"},'
    '"learner":{"user_id":90417,"username":"learner_90417","email":"learner@example.com"},'
    '"course":{"course_key":"course-v1:ExampleX+DATA101+2026_T1"},'
    '"completion":{"completed":true,"completion_date":"2026-03-10T17:42:31Z",'
    '"percent_grade":0.88,"letter_grade":"B","is_passing":true}'
)
ENROLLED = (
    '{"event_type":"course_enrollment","event_version":"2.0","event_source":"openedx_events",'
    '"timestamp":"2026-03-12T04:10:07Z",'
    '"enterprise_customer":{"uuid":"7d3f1c52-0b6e-4a83-9c41-5e2a90d7f6b8",'
    '"name":"Example Industries"},'
    '"learner":{"user_id":90417,"username":"learner_90417","email":"learner@example.com"},'
    '"course":{"course_key":"course-v1:ExampleX+DATA101+2026_T1"},'
    '"enrollment":{"mode":"verified","is_active":true,"enrollment_date":"2026-01-19T08:59:58Z"}}'
)


def completion(
    name: str = "v2", learning_time: LearningTime | None = None, **changes: Any
) -> bytes:
    return FORMATS[name].body(
        CompletionFacts.read(COMPLETION | changes),
        recorded_at=RECORDED_AT,
        learning_time=learning_time,
    )


def validator(body: type[Body]) -> Draft202012Validator:
    return Draft202012Validator(body.model_json_schema(schema_generator=PublishedSchema))


def test_a_completion_without_learning_time_has_exactly_these_bytes():
    assert completion().decode() == WITHOUT_LEARNING_TIME + "}"


def test_learning_time_is_added_at_the_end_and_changes_nothing_else():
    assert completion(learning_time=STUDIED).decode() == (
        WITHOUT_LEARNING_TIME + ',"learning_time":{"total_seconds":26964,"total_hours":7.49,'
        '"last_updated":"2026-03-12T00:00:00Z"}}'
    )


def test_zero_learning_time_is_said_and_not_left_out():
    body = json.loads(completion(learning_time=LearningTime(0, datetime(2026, 3, 12, tzinfo=UTC))))
    assert body["learning_time"]["total_seconds"] == 0
    assert completion(learning_time=LearningTime(0, datetime(2026, 3, 12))).count(
        b'"total_hours":0.0'
    )


def test_percipio_gets_learning_time_as_duration_and_no_other_key():
    expected = (
        '{"content_id":"course:ExampleX+DATA101","user":"3b8e6a90-41d2-4f7c-8a15-c0d9e7f21b64",'
        '"status":"completed","event_date":"2026-03-10T17:42:31Z","completion_percentage":100,'
        '"duration_spent":%s,"orgid":"e51f07c8-9a2b-4d36-b7e0-1c84d5a3f902"}'
    )
    assert completion("percipio", STUDIED).decode() == expected % "26964"
    assert completion("percipio").decode() == expected % "null"
    zero = LearningTime(0, datetime(2026, 3, 12))
    assert completion("percipio", zero).decode() == expected % "0"


def test_an_enrollment_has_exactly_these_bytes_in_both_formats():
    facts = EnrollmentFacts.read(ENROLLMENT)
    bodies = {name: FORMATS[name].body(facts, recorded_at=RECORDED_AT) for name in NAMES}
    assert bodies["v2"].decode() == ENROLLED
    assert bodies["percipio"].decode() == (
        '{"content_id":"course:ExampleX+DATA101","user":"3b8e6a90-41d2-4f7c-8a15-c0d9e7f21b64",'
        '"status":"started","event_date":"2026-01-19T08:59:58Z","completion_percentage":0,'
        '"duration_spent":null,"orgid":"e51f07c8-9a2b-4d36-b7e0-1c84d5a3f902"}'
    )


def test_unknown_percipio_ids_are_null_and_reported_as_missing():
    changes = {"percipio_user_id": None, "percipio_organization_id": []}
    body = json.loads(completion("percipio", **changes))
    assert (body["user"], body["orgid"]) == (None, None)
    unknown = CompletionFacts.read(COMPLETION | changes)
    assert FORMATS["percipio"].missing_identity(unknown) == ("user", "orgid")
    assert FORMATS["percipio"].missing_identity(CompletionFacts.read(COMPLETION)) == ()
    assert FORMATS["v2"].missing_identity(unknown) == ()


def test_every_time_is_utc_to_the_second():
    moment = datetime(2026, 3, 10, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-5)))
    body = json.loads(completion(passed_at=moment.isoformat()))
    assert body["completion"]["completion_date"] == "2026-03-11T04:59:59Z"


def test_names_keep_their_letters():
    name = "Exämple Индустрия 例 \u2028 “quoted” \\ \u0000"
    body = completion(enterprise_customer_name=name)
    assert json.loads(body)["enterprise_customer"]["name"] == name
    assert "Exämple Индустрия 例".encode() in body


@given(
    st.fixed_dictionaries(
        {
            "enterprise_customer_name": st.text(min_size=1),
            "username": st.text(min_size=1),
            "email": st.text(),
            "letter_grade": st.text(),
            "percent_grade": st.floats(0, 1),
            "passed_at": st.datetimes().map(datetime.isoformat),
        }
    ),
    st.integers(0, 10**9),
    st.sampled_from(NAMES),
)
def test_bodies_are_stable_valid_and_differ_by_learning_time_only(
    changes: dict[str, Any], seconds: int, name: str
):
    learning_time = LearningTime(seconds, datetime(2026, 3, 12))
    plain = completion(name, **changes)
    enriched = completion(name, learning_time, **changes)
    assert completion(name, **changes) == plain
    assert completion(name, learning_time, **changes) == enriched
    stripped = json.loads(enriched)
    assert FORMATS[name].seconds_in(stripped) == seconds
    validator(FORMATS[name].bodies[CompletionFacts]).validate(stripped)
    if name == "v2":
        del stripped["learning_time"]
    else:
        stripped["duration_spent"] = None
    assert list(stripped.items()) == list(json.loads(plain).items())
    assert all(re.fullmatch(r"[^\n]*", body.decode()) for body in (plain, enriched))


@pytest.mark.parametrize(
    ("run", "course"),
    [
        ("course-v1:ExampleX+DATA101+2026_T1", "course:ExampleX+DATA101"),
        ("ccx-v1:ExampleX+DATA101+2026_T1+ccx@3", "course:ExampleX+DATA101"),
        ("ExampleX/DATA101/2026_T1", "course:ExampleX+DATA101"),
    ],
)
def test_the_run_is_dropped_from_the_content_id(run: str, course: str):
    assert content_id(run) == course


@pytest.mark.parametrize("run", ["", "DATA101", "course-v1:ExampleX+DATA101", "a/b", "a/b/c/d"])
def test_what_is_no_run_key_is_refused(run: str):
    with pytest.raises(PayloadError, match="course run key"):
        content_id(run)


@pytest.mark.parametrize("seconds", [-1, 1.5, True, "5"])
@pytest.mark.parametrize("name", NAMES)
def test_learning_time_that_is_no_whole_number_is_refused(name: str, seconds: Any):
    with pytest.raises((PayloadError, TypeError)):
        completion(name, LearningTime(seconds, datetime(2026, 3, 12)))


def test_a_body_that_breaks_its_schema_is_refused_without_quoting_it():
    with pytest.raises(PayloadError) as caught:
        completion(courserun_key="course-v1:canary+" + "x" * 300 + "+1")
    assert "Course: course_key: " in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_the_schemas_are_valid_and_closed(body: type[Body]):
    schema = body.model_json_schema(schema_generator=PublishedSchema)
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("value", [None, {}, {"total_seconds": 5}])
def test_the_schema_refuses_a_learning_time_that_is_null_or_incomplete(value: object):
    body = json.loads(completion())
    assert validator(CourseCompletion).is_valid(body)
    assert not validator(CourseCompletion).is_valid(body | {"learning_time": value})


def test_the_schema_refuses_an_eighth_key_and_learning_time_of_an_enrollment():
    body = json.loads(completion("percipio", STUDIED))
    assert validator(PercipioCompletion).is_valid(body)
    assert not validator(PercipioCompletion).is_valid(body | {"completion": {"learning_time": 5}})
    started = body | {"status": "started", "completion_percentage": 0}
    assert not validator(PercipioEnrollment).is_valid(started)
    assert validator(PercipioEnrollment).is_valid(started | {"duration_spent": None})
