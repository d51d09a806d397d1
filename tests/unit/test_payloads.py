"""Bodies: exact bytes, derived by hand from the contract, not from the code under test."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sync.domain.bodies import Body, BodyMaker, IdentityMissing, PayloadError
from sync.domain.endpoint import EndpointError, EndpointSettings
from sync.domain.event_types import CompletionFacts, EnrollmentFacts
from sync.domain.facts import LearningTime
from sync.domain.formats import FORMATS
from sync.domain.formats.percipio import PercipioCompletion, PercipioEnrollment, content_id
from sync.domain.formats.v2 import CourseCompletion
from sync.domain.formats.xapi import iso_duration, seconds_of
from tests.support.events import COMPLETION, ENROLLMENT, XAPI, content, correction

pytestmark = pytest.mark.usefixtures("local_zone")

STUDIED = LearningTime(26964, datetime(2026, 3, 12))
NAMES = tuple(FORMATS)
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
    facts = CompletionFacts.read(COMPLETION | changes)
    return FORMATS[name].body(content(facts, learning_time))


def validator(body: BodyMaker) -> Draft202012Validator:
    return Draft202012Validator(body.published_schema())


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


def test_an_enrollment_has_exactly_these_bytes():
    facts = EnrollmentFacts.read(ENROLLMENT)
    bodies = {name: FORMATS[name].body(content(facts)) for name in NAMES}
    assert bodies["v2"].decode() == ENROLLED
    assert bodies["percipio"].decode() == (
        '{"content_id":"course:ExampleX+DATA101","user":"3b8e6a90-41d2-4f7c-8a15-c0d9e7f21b64",'
        '"status":"started","event_date":"2026-01-19T08:59:58Z","completion_percentage":0,'
        '"duration_spent":null,"orgid":"e51f07c8-9a2b-4d36-b7e0-1c84d5a3f902"}'
    )


def test_a_correction_is_the_completion_with_what_it_corrects_and_the_new_number():
    facts = CompletionFacts.read(COMPLETION)
    body = FORMATS["v2"].body(correction(facts, LearningTime(30069, datetime(2026, 3, 15))))
    begin = WITHOUT_LEARNING_TIME.replace("course_completion", "course_completion_correction")
    assert body.decode() == (
        begin.replace("2026-03-12T04:10:07Z", "2026-03-15T04:10:07Z")
        + ',"correction":{"corrects":"2ec0acb6-9811-54aa-9664-a87ac95ae27f","number":1},'
        '"learning_time":{"total_seconds":30069,"total_hours":8.35,'
        '"last_updated":"2026-03-15T00:00:00Z"}}'
    )


def test_a_statement_of_a_correction_updates_the_first_and_completes_nothing_again():
    facts = CompletionFacts.read(COMPLETION)
    first = json.loads(completion("xapi", STUDIED))
    moved = LearningTime(30069, datetime(2026, 3, 15))
    body = json.loads(FORMATS["xapi"].body(correction(facts, moved)))
    assert body == {
        **{name: first[name] for name in ("actor", "object")},
        "id": "9b6a4f0e-3c52-5f18-8d27-71f0a3c5e964",
        "verb": {"id": "http://activitystrea.ms/schema/1.0/update", "display": {"en": "update"}},
        "timestamp": "2026-03-15T04:10:07Z",
        "result": {"duration": "PT8H21M9S"},
        "context": {"statement": {"objectType": "StatementRef", "id": first["id"]}},
    }


@pytest.mark.parametrize("name", ["v2", "xapi"])
def test_a_correction_without_a_number_or_without_what_it_corrects_has_no_body(name: str):
    facts = CompletionFacts.read(COMPLETION)
    for known in (
        correction(facts, None),
        replace(correction(facts, STUDIED), correction=None),
    ):
        with pytest.raises(PayloadError, match="a correction needs"):
            FORMATS[name].body(known)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"percipio_user_id": None, "percipio_organization_id": []}, "user and orgid$"),
        ({"percipio_user_id": ""}, "user$"),
        ({"percipio_organization_id": None}, "lacks orgid$"),
    ],
)
def test_percipio_gets_nobody_whose_ids_it_could_not_book(changes: dict[str, Any], named: str):
    with pytest.raises(IdentityMissing, match=named):
        completion("percipio", **changes)
    assert completion("v2", **changes)


@pytest.mark.parametrize(
    ("unit", "seconds", "sent"),
    [("seconds", 90, 90), ("minutes", 90, 2), ("minutes", 29, 0), ("minutes", 26964, 449)],
)
def test_percipio_s_duration_is_in_the_unit_of_the_endpoint(unit: str, seconds: int, sent: int):
    facts = CompletionFacts.read(COMPLETION)
    studied = LearningTime(seconds, datetime(2026, 3, 12))
    body = FORMATS["percipio"].body(content(facts, studied, duration_unit=unit))
    assert json.loads(body)["duration_spent"] == sent


def test_a_statement_has_exactly_these_bytes():
    begin = (
        '{"id":"2ec0acb6-9811-54aa-9664-a87ac95ae27f","actor":{"objectType":"Agent",'
        '"mbox":"mailto:learner@example.com"},'
        '"verb":{"id":"http://adlnet.gov/expapi/verbs/%s","display":{"en":"%s"}},'
        '"object":{"objectType":"Activity",'
        '"id":"https://lms.example.com/courses/course-v1:ExampleX+DATA101+2026_T1",'
        '"definition":{"type":"http://adlnet.gov/expapi/activities/course",'
        '"name":{"en":"Data for Everybody"}}},"timestamp":"%s"'
    )
    passed = begin % ("completed", "completed", "2026-03-10T17:42:31Z")
    result = ',"result":{"completion":true,"success":true,"score":{"scaled":0.88}'
    assert completion("xapi").decode() == f"{passed}{result}}}}}"
    assert completion("xapi", STUDIED).decode() == f'{passed}{result},"duration":"PT7H29M24S"}}}}'
    enrolled = FORMATS["xapi"].body(content(EnrollmentFacts.read(ENROLLMENT)))
    assert enrolled.decode() == begin % ("registered", "registered", "2026-01-19T08:59:58Z") + "}"


@pytest.mark.parametrize(
    ("settings", "actor"),
    [
        ({"xapi_actor": "mbox"}, {"mbox": "mailto:learner@example.com"}),
        # printf 'mailto:learner@example.com' | sha1sum
        (
            {"xapi_actor": "mbox_sha1sum"},
            {"mbox_sha1sum": "98f9e7be746ea8b26fbb2964041bdefd4f3f3218"},
        ),
        (
            {"xapi_actor": "account", "xapi_home_page": "https://lms.example.com"},
            {"account": {"homePage": "https://lms.example.com", "name": "learner_90417"}},
        ),
    ],
)
def test_a_statement_names_the_learner_in_exactly_one_way(
    settings: dict[str, Any], actor: dict[str, Any]
):
    facts = CompletionFacts.read(COMPLETION)
    body = json.loads(FORMATS["xapi"].body(content(facts, **settings)))
    assert body["actor"] == {"objectType": "Agent"} | actor
    without_address = CompletionFacts.read(COMPLETION | {"email": ""})
    if settings["xapi_actor"] == "account":
        assert FORMATS["xapi"].body(content(without_address, **settings))
        return
    with pytest.raises(IdentityMissing, match="email address"):
        FORMATS["xapi"].body(content(without_address, **settings))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "PT0S"), (59, "PT59S"), (60, "PT1M"), (3600, "PT1H"), (3601, "PT1H1S"), (90_000, "PT25H")],
)
def test_a_duration_is_read_as_it_was_written(seconds: int, text: str):
    assert (iso_duration(seconds), seconds_of(text)) == (text, seconds)


def test_the_id_of_a_course_run_is_an_address_whatever_its_key_holds():
    key = "course-v1:Exämple+DATA 101+2026?#T1"
    body = json.loads(completion("xapi", courserun_key=key, course_name=""))
    assert body["object"]["id"] == (
        "https://lms.example.com/courses/course-v1:Ex%C3%A4mple+DATA%20101+2026%3F%23T1"
    )
    assert body["object"]["definition"]["name"] == {"en": key}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "xapi_course_iri: format xapi needs it"),
        ({"xapi_course_iri": "https://lms.example.com/"}, "xapi_course_iri"),
        ({"xapi_course_iri": "{courserun_key}"}, "xapi_course_iri"),
        ({"xapi_course_iri": "https://a/{courserun_key}{courserun_key}"}, "xapi_course_iri"),
        (XAPI | {"xapi_actor": "account"}, "xapi_home_page: xapi_actor account needs it"),
        (XAPI | {"xapi_actor": "openid"}, "xapi_actor"),
        (XAPI | {"xapi_actor": "account", "xapi_home_page": "lms"}, "xapi_home_page"),
    ],
)
def test_an_endpoint_of_statements_says_which_setting_it_lacks(
    settings: dict[str, str], named: str
):
    with pytest.raises(EndpointError, match=named):
        EndpointSettings.from_row({"payload_format": "xapi"} | settings)
    if not settings:
        assert EndpointSettings.from_row({"payload_format": "v2"})


def test_every_time_is_utc_to_the_second():
    at = datetime(2026, 3, 10, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-5)))
    body = json.loads(completion(passed_at=at.isoformat()))
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
            "email": st.text(min_size=1),
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
    validator(FORMATS[name].bodies["course_completion"]).validate(stripped)
    match name:
        case "v2":
            del stripped["learning_time"]
        case "xapi":
            del stripped["result"]["duration"]
        case "percipio":
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
def test_the_schemas_are_valid_and_take_keys_that_come_later(body: type[Body]):
    schema = body.published_schema()
    Draft202012Validator.check_schema(schema)
    assert 'additionalProperties": false' not in json.dumps(schema)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_a_body_of_ours_has_no_key_that_its_schema_does_not_name(body: type[Body]):
    assert body.model_config.get("extra") == "forbid"


@pytest.mark.parametrize("value", [None, {}, {"total_seconds": 5}])
def test_the_schema_refuses_a_learning_time_that_is_null_or_incomplete(value: object):
    body = json.loads(completion())
    assert validator(CourseCompletion).is_valid(body)
    assert not validator(CourseCompletion).is_valid(body | {"learning_time": value})


def test_the_schema_refuses_learning_time_of_an_enrollment():
    body = json.loads(completion("percipio", STUDIED))
    assert validator(PercipioCompletion).is_valid(body | {"a key": "of a later version"})
    started = body | {"status": "started", "completion_percentage": 0}
    assert not validator(PercipioEnrollment).is_valid(started)
    assert validator(PercipioEnrollment).is_valid(started | {"duration_spent": None})


def test_a_format_says_which_event_type_it_has_no_body_for():
    other = replace(content(CompletionFacts.read(COMPLETION)), event_type="certificate_awarded")
    with pytest.raises(PayloadError, match=r"no body for certificate_awarded$"):
        FORMATS["v2"].body(other)
