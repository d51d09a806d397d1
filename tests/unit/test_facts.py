"""Facts of an event: what is read, and which field is named when one is unusable."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sync.domain.endpoint import Endpoint, EndpointError
from sync.domain.event_types import CompletionFacts, EnrollmentFacts
from sync.domain.facts import FactsError
from tests.support.events import COMPLETION, ENROLLMENT
from tests.support.marts import endpoint

pytestmark = pytest.mark.usefixtures("local_zone")


def test_a_completion_is_read_from_its_mapping():
    facts = CompletionFacts.read(COMPLETION)
    assert facts.user_id == 90417
    assert facts.percipio_user_id == "3b8e6a90-41d2-4f7c-8a15-c0d9e7f21b64"
    assert facts.passed_at == datetime(2026, 3, 10, 17, 42, 31, tzinfo=UTC)
    assert facts.percent_grade == 0.88


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-10T17:42:31",
        "2026-03-10T17:42:31Z",
        "2026-03-10T19:42:31+02:00",
        "2026-03-10 17:42:31",
    ],
)
def test_a_time_is_read_in_any_zone_and_in_utc_without_one(text: str):
    facts = CompletionFacts.read(COMPLETION | {"passed_at": text})
    assert facts.passed_at == datetime(2026, 3, 10, 17, 42, 31, tzinfo=UTC)


@pytest.mark.parametrize("value", [["x-1"], "x-1"])
def test_an_id_in_a_list_of_one_is_unwrapped(value: object):
    facts = CompletionFacts.read(COMPLETION | {"percipio_user_id": value})
    assert facts.percipio_user_id == "x-1"


@pytest.mark.parametrize("value", [None, "", []])
def test_an_unknown_optional_fact_is_none_whether_empty_or_absent(value: object):
    absent = {key: fact for key, fact in COMPLETION.items() if key != "percipio_user_id"}
    for facts in (absent, absent | {"percipio_user_id": value}):
        assert CompletionFacts.read(facts).percipio_user_id is None


def test_a_letter_grade_and_an_email_may_be_unknown_and_a_whole_grade_is_a_float():
    unknown = {"letter_grade": None, "email": None, "percent_grade": 1}
    facts = CompletionFacts.read(COMPLETION | unknown)
    assert (facts.letter_grade, facts.email) == ("", "")
    assert isinstance(facts.percent_grade, float)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("enterprise_customer_uuid", "7d3f1c520b6e4a839c415e2a90d7f6b8"),
        ("enterprise_customer_uuid", "7D3F1C52-0B6E-4A83-9C41-5E2A90D7F6B8"),
        ("enterprise_customer_name", None),
        ("user_id", "90417"),
        ("user_id", True),
        ("user_id", 1.0),
        ("username", ""),
        ("username", 5),
        ("username", "half \ud800"),
        ("email", 5),
        ("email", "half \ud800"),
        ("letter_grade", "half \ud800"),
        ("learner_country", 49),
        ("courserun_key", None),
        ("passed_at", None),
        ("passed_at", "2026-03-10"),
        ("passed_at", "yesterday, at noon"),
        ("passed_at", "0001-01-01T00:00:00+14:00"),
        ("percent_grade", None),
        ("percent_grade", "0.88"),
        ("percent_grade", True),
        ("percent_grade", float("nan")),
        ("percent_grade", 88),
        ("percent_grade", -0.1),
        ("percipio_user_id", ["a", "b"]),
    ],
)
def test_an_unusable_fact_is_named_and_its_value_is_not(field: str, value: Any):
    with pytest.raises(FactsError) as caught:
        CompletionFacts.read(COMPLETION | {field: value})
    assert f" {field}: " in str(caught.value)
    if value:
        assert str(value) not in str(caught.value).replace(field, "")


def test_an_enrollment_is_read_from_its_mapping():
    facts = EnrollmentFacts.read(ENROLLMENT)
    assert (facts.enrollment_mode, facts.is_enrolled) == ("verified", True)
    assert EnrollmentFacts.read(ENROLLMENT | {"enrollment_mode": None}).enrollment_mode == "unknown"
    with pytest.raises(FactsError, match="is_enrolled"):
        EnrollmentFacts.read(ENROLLMENT | {"is_enrolled": 1})


def test_personal_facts_do_not_show_in_repr():
    shown = repr(CompletionFacts.read(COMPLETION))
    for key in ("username", "email", "percipio_user_id", "percipio_organization_id"):
        assert str(COMPLETION[key]) not in shown
    assert "course-v1:ExampleX+DATA101+2026_T1" in shown


CANARIES = ("tulip \ud800", ["tulip", "tulip"], {"tulip": "tulip"}, b"tulip", ("tulip",))


@pytest.mark.parametrize("canary", CANARIES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    ("read", "row", "error"),
    [
        pytest.param(CompletionFacts.read, COMPLETION, FactsError, id="completion"),
        pytest.param(EnrollmentFacts.read, ENROLLMENT, FactsError, id="enrollment"),
        pytest.param(Endpoint.from_row, endpoint(1, "https://x"), EndpointError, id="endpoint"),
    ],
)
def test_no_error_shows_a_value_however_wrong_a_row_is(
    read: Callable[[dict[str, Any]], Any],
    row: dict[str, Any],
    error: type[Exception],
    canary: object,
):
    for name in row:
        with pytest.raises(error) as caught:
            read(row | {name: canary})
        shown = "".join(traceback.format_exception(caught.value))
        assert name in str(caught.value)
        assert "tulip" not in shown, name
