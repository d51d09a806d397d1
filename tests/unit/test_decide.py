"""The decision about a recorded event depends on rows and settings alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from sync.delivery.build import (
    Build,
    BuildReport,
    Decision,
    EnrichmentPolicy,
    Hold,
    Suppress,
    Wait,
    decide,
    key_of,
    ledger_row,
    wanted,
)
from sync.delivery.endpoints import read_endpoints
from sync.delivery.learning_time import (
    Found,
    LearningTimeOutcome,
    NoData,
    NotYet,
    Unavailable,
)
from sync.domain.facts import Correction
from sync.domain.rollout import LeftOut, Rollout
from sync.domain.states import Reason, State
from sync.domain.work import Event
from tests.support.completions import COURSE_RUN, ENTERPRISE, completion
from tests.support.marts import endpoint

RECORDED = datetime(2026, 3, 10, 18)
LATER = RECORDED + timedelta(hours=1)
URL = "https://hooks.example.com/in"
OPEN = endpoint(1, URL)
THROUGH = datetime(2026, 3, 12)
ON = EnrichmentPolicy(enabled=True)
OFF = EnrichmentPolicy(enabled=False)
AWAY = Unavailable("the warehouse does not respond")


def event(**changes: Any) -> Event:
    facts = completion(1, "2026-03-10T17:42:31") | changes.pop("facts", {})
    values: dict[str, Any] = {
        "webhook_id": "a",
        "event_type": "course_completion",
        "enterprise_customer_uuid": ENTERPRISE,
        "user_id": 1,
        "courserun_key": COURSE_RUN,
        "facts": facts,
        "recorded_at": RECORDED,
        "state": State.AWAITING,
        "state_reason": None,
    }
    return Event(**values | changes)


def decided(
    row: Event,
    *endpoints: dict[str, object],
    outcome: LearningTimeOutcome | None = None,
    policy: EnrichmentPolicy = OFF,
    now: datetime = RECORDED,
) -> Decision:
    return decide(
        row,
        endpoints=read_endpoints(endpoints),
        outcomes={} if outcome is None else {key_of(row): outcome},
        policy=policy,
        now=now,
    )


HELD = {"state": State.HELD, "state_reason": Reason.ENDPOINT_MISSING}


@pytest.mark.parametrize(
    ("changes", "endpoints", "reason"),
    [
        ({"facts": {"percent_grade": None}}, [OPEN], Reason.PAYLOAD_INVALID),
        ({}, [OPEN | {"payload_format": "percipio"}], Reason.IDENTITY_MISSING),
        ({}, [OPEN | {"is_active": False}], Reason.NO_ACTIVE_ENDPOINT),
        ({}, [OPEN | {"region": "UK"}], Reason.ENDPOINT_ROW_INVALID),
        ({"facts": {"learner_country": "DE"}}, [OPEN], Reason.EU_FALLBACK_NOT_ALLOWED),
        (HELD, [], Reason.ENDPOINT_MISSING),
        ({"lost_endpoint_id": 7}, [], Reason.ENDPOINT_MISSING),
    ],
)
def test_what_can_be_fixed_is_held_with_the_reason(
    changes: dict[str, Any], endpoints: list[dict[str, object]], reason: Reason
):
    found = decided(event(**changes), *endpoints)
    assert isinstance(found, Hold)
    assert found.reason is reason
    assert found.problem


def test_what_the_marts_no_longer_hold_is_held_whatever_its_endpoint():
    gone = replace(event(), facts={})
    for endpoints in ([OPEN], [OPEN | {"is_active": False}], []):
        found = decided(gone, *endpoints)
        assert isinstance(found, Hold)
        assert found.reason is Reason.NO_LONGER_REPORTABLE


def test_what_nobody_asked_for_is_suppressed():
    found = decided(event())
    assert isinstance(found, Suppress)
    assert found.reason is Reason.NO_ENDPOINT
    again = event(state=State.HELD, state_reason=Reason.NO_LONGER_REPORTABLE)
    assert isinstance(decided(again), Suppress), "it never had an endpoint"


FILTERS = {
    "only_organizations": ("ExampleX", "Other, exampleX"),
    "only_courserun_keys": ("a, course-v1:*+DATA101+*", "course-v1:ExampleX+DATA101"),
    "only_enrollment_modes": ("audit,verified", "audit"),
}
"""Each filter, with a setting that accepts the completion and one that does not."""


@pytest.mark.parametrize("name", FILTERS)
def test_a_completion_that_its_endpoint_filters_out_is_suppressed(name: str):
    taken, not_taken = FILTERS[name]
    assert isinstance(decided(event(), OPEN | {name: taken}), Build)
    elsewhere = endpoint(2, URL)
    found = decided(event(), OPEN | {name: not_taken, "region": "US"}, elsewhere)
    assert isinstance(found, Suppress), "and goes to no other endpoint"
    assert found.reason is Reason.FILTERED


def test_every_filter_of_an_endpoint_has_to_pass():
    passing = {name: taken for name, (taken, _) in FILTERS.items()}
    assert isinstance(decided(event(), OPEN | passing), Build)
    for name, (_, not_taken) in FILTERS.items():
        assert isinstance(decided(event(), OPEN | passing | {name: not_taken}), Suppress)


def test_a_pattern_is_a_key_but_for_its_stars():
    odd = event(courserun_key="course-v1:X+a[1]?+r")
    assert isinstance(decided(odd, OPEN | {"only_courserun_keys": "course-v1:X+a[1]?+*"}), Build)
    assert isinstance(decided(odd, OPEN | {"only_courserun_keys": "course-v1:X+a1b+*"}), Suppress)


def test_filters_are_for_completions_and_enrollments_go_by_their_switch():
    facts = {"enrolled_at": "2026-03-05T08:00:00", "is_enrolled": True}
    row = event(event_type="course_enrollment", facts=facts)
    filtered = OPEN | {"only_organizations": "Other", "is_enrollment_events_enabled": True}
    assert isinstance(decided(row, filtered), Build)


def test_a_held_completion_that_a_filter_leaves_out_now_is_not_said_to_lack_its_endpoint():
    held = event(state=State.HELD, state_reason=Reason.PAYLOAD_INVALID)
    found = decided(held, OPEN | {"only_organizations": "Other"})
    assert isinstance(found, Suppress)
    assert found.reason is Reason.FILTERED


def test_a_broken_row_that_names_no_customer_holds_those_it_may_belong_to():
    broken = endpoint(9, URL, region="US", enterprise_customer_uuid=None)
    found = decided(event(), OPEN, broken)
    assert isinstance(found, Hold)
    assert found.reason is Reason.ENDPOINT_ROW_INVALID
    assert isinstance(decided(event(), OPEN, broken | {"is_active": False}), Build)


@pytest.mark.parametrize(
    ("outcome", "name", "seconds"),
    [
        (Found(60, THROUGH), "found", 60),
        (Found(0, THROUGH), "found", 0),
        (NoData(THROUGH), "no_data", None),
        (NotYet(None), "not_yet", None),
        (AWAY, "unavailable", None),
    ],
)
def test_after_the_wait_a_message_is_built_whatever_the_look_up_has_said(
    outcome: LearningTimeOutcome, name: str, seconds: int | None
):
    found = decided(event(), OPEN, outcome=outcome, policy=ON, now=LATER)
    assert isinstance(found, Build)
    assert found.message.enrichment_outcome == name
    assert found.message.learning_time_seconds == seconds
    body = json.loads(found.message.body)
    assert body.get("learning_time", {}).get("total_seconds") == seconds
    assert ("learning_time" in body) == (name == "found"), "without it the key is absent"


@pytest.mark.parametrize(("outcome", "reason"), [(NotYet(None), "not_yet"), (AWAY, "unavailable")])
def test_until_then_it_waits_for_a_mart_that_may_still_come(
    outcome: LearningTimeOutcome, reason: str
):
    found = decided(event(), OPEN, outcome=outcome, policy=ON, now=LATER - timedelta(seconds=1))
    assert isinstance(found, Wait)
    assert (found.reason, found.until) == (reason, LATER)


def test_with_the_flag_off_the_body_is_what_it_is_without_the_feature():
    """Byte for byte, whatever the mart says."""
    plain = decided(event(), OPEN)
    assert isinstance(plain, Build)
    for row in (OPEN | {"is_learning_time_enabled": False}, OPEN):
        found = decided(event(), row, outcome=Found(60, THROUGH) if row is not OPEN else None)
        assert isinstance(found, Build)
        assert found.message.body == plain.message.body
        assert found.message.enrichment_outcome == "flag_off"


def test_only_what_the_flag_the_rollout_and_the_endpoint_want_is_looked_up():
    rows = [event(user_id=n) for n in range(1, 41)]
    opted_out = read_endpoints([OPEN | {"is_learning_time_enabled": False}])
    endpoints = read_endpoints([OPEN])
    part = EnrichmentPolicy(enabled=True, rollout=Rollout(30))
    assert wanted(rows, endpoints=endpoints, policy=OFF) == []
    assert wanted(rows, endpoints=opted_out, policy=ON) == []
    assert wanted(rows, endpoints=endpoints, policy=ON) == [key_of(one) for one in rows]
    some = wanted(rows, endpoints=endpoints, policy=part)
    assert some == [key_of(one) for one in rows if part.leaves_out(one) is None]
    assert 0 < len(some) < 40


def test_the_report_counts_each_decision_once_and_its_problem():
    nobody = EnrichmentPolicy(enabled=True, rollout=Rollout(0))
    report = BuildReport()
    for one in (
        decided(event(), OPEN),
        decided(event(), OPEN, policy=nobody),
        decided(event(), OPEN, outcome=AWAY, policy=ON),
        decided(event(), OPEN | {"is_active": False}),
        decided(event()),
    ):
        report.count(one)
    assert report.built == {"flag_off": 1, "not_in_rollout": 1}
    assert report.left_out == {LeftOut.SHARE: 1}
    assert report.waiting == {"unavailable": 1}
    assert report.held == {Reason.NO_ACTIVE_ENDPOINT: 1}
    assert report.suppressed == {Reason.NO_ENDPOINT: 1}
    assert report.shadow_seen == 2
    assert report.problems == {AWAY.reason: 1, "the customer's endpoint is switched off": 1}


def test_nothing_is_written_where_nothing_changes():
    waits = decided(event(), OPEN, outcome=NotYet(None), policy=ON)
    assert ledger_row(event(), waits) is None
    assert ledger_row(event(**HELD), decided(event(**HELD))) is None
    lost = event(**HELD, lost_endpoint_id=7)
    change = ledger_row(lost, decided(lost))
    assert change is not None, "its message gives way"
    assert change["lost_endpoint_id"] == 7


TOLD = Correction(corrects="first", number=1, told_seconds=1_000, tolerance_seconds=100.0)
ASKING = OPEN | {"event_types": "course_completion_correction"}


def correction(**changes: Any) -> Event:
    return event(**{"event_type": "course_completion_correction", "correction": TOLD} | changes)


@pytest.mark.parametrize("seconds", [1_101, 899, 0])
def test_a_correction_says_the_number_of_now_and_what_it_corrects(seconds: int):
    found = decided(correction(), ASKING, outcome=Found(seconds, THROUGH), policy=ON)
    assert isinstance(found, Build)
    assert found.message.learning_time_seconds == seconds
    assert json.loads(found.message.body)["correction"] == {"corrects": "first", "number": 1}


@pytest.mark.parametrize(
    ("outcome", "policy", "told", "reason"),
    [
        (Found(1_100, THROUGH), ON, TOLD, Reason.CORRECTION_NOT_NEEDED),
        (Found(900, THROUGH), ON, TOLD, Reason.CORRECTION_NOT_NEEDED),
        (Found(9, THROUGH), ON, replace(TOLD, told_seconds=None), Reason.CORRECTION_NOT_NEEDED),
        (NoData(THROUGH), ON, TOLD, Reason.CORRECTION_WITHOUT_NUMBER),
        (AWAY, ON, TOLD, Reason.CORRECTION_WITHOUT_NUMBER),
        (NotYet(None), ON, TOLD, Reason.CORRECTION_WITHOUT_NUMBER),
        (None, OFF, TOLD, Reason.CORRECTION_WITHOUT_NUMBER),
    ],
)
def test_a_correction_without_anything_to_say_is_suppressed_with_the_reason(
    outcome: LearningTimeOutcome | None,
    policy: EnrichmentPolicy,
    told: Correction,
    reason: Reason,
):
    row = correction(correction=told)
    found = decided(row, ASKING, outcome=outcome, policy=policy, now=LATER)
    assert isinstance(found, Suppress)
    assert found.reason is reason
    change = ledger_row(row, found)
    assert change is not None
    assert change["state"] is State.SUPPRESSED


def test_a_correction_waits_for_the_mart_as_a_completion_does():
    assert isinstance(decided(correction(), ASKING, outcome=AWAY, policy=ON), Wait)


def test_a_correction_goes_to_no_endpoint_that_has_not_asked_or_filters_it_out():
    for row, reason in (
        (OPEN, Reason.NOT_ASKED_FOR),
        (ASKING | {"only_organizations": "OtherX"}, Reason.FILTERED),
    ):
        found = decided(correction(), row, outcome=Found(5_000, THROUGH), policy=ON)
        assert isinstance(found, Suppress)
        assert found.reason is reason
