"""The explanation of one learner shows the state of a completion, whatever its outcome."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from sync.domain.pauses import Pause, Pauses
from sync.domain.states import Reason
from sync.operations.explain.number import Day, Session, reckon
from sync.operations.explain.story import Story
from sync.operations.explain.timeline import difference, timeline
from tests.support.completions import ENTERPRISE

RUN = "course-v1:ExampleX+DATA101+2026_T1"
MARCH_9, PASSED, NOW = (datetime(2026, 3, day, 9) for day in (9, 10, 12))
RECORDED = PASSED + timedelta(hours=1)
BUILT = RECORDED + timedelta(minutes=5)
ENROLLMENT: dict[str, Any] = {
    "enterprise_customer_uuid": ENTERPRISE,
    "enrolled_at": MARCH_9,
    "enrollment_mode": "verified",
    "is_enrolled": True,
    "is_consent_granted": True,
    "consent_changed_at": MARCH_9,
    "passed_at": PASSED,
    "ineligible_reason": None,
}
WEBHOOK: dict[str, Any] = {
    "webhook_id": "w",
    "event_type": "course_completion",
    "enterprise_customer_uuid": ENTERPRISE,
    "occurred_at": PASSED,
    "recorded_at": RECORDED,
    "recorded_run_id": "run-1",
    "state": "awaiting",
    "state_reason": None,
    "endpoint_id": None,
    "payload_format": None,
    "attempt_count": 0,
    "next_attempt_at": RECORDED,
    "delivered_at": None,
    "replay_id": None,
    "updated_at": NOW,
    "frozen_at": None,
    "enrichment_outcome": None,
    "learning_time_seconds": None,
    "learning_time_computed_through": None,
}
SENT = WEBHOOK | {
    "state": "pending",
    "endpoint_id": 1,
    "payload_format": "v2",
    "attempt_count": 1,
    "next_attempt_at": NOW,
    "frozen_at": BUILT,
    "enrichment_outcome": "found",
    "learning_time_seconds": 50,
    "learning_time_computed_through": PASSED,
}
ATTEMPT: dict[str, Any] = {
    "endpoint_id": 1,
    "attempt_number": 1,
    "run_id": "run-2",
    "started_at": BUILT,
    "duration_ms": 7,
    "status_code": None,
    "outcome": "retry",
    "error_kind": "E_DNS",
    "attribution": "ours",
    "replay_id": None,
}


def story(*webhooks: dict[str, Any], enrollment: dict[str, Any] = ENROLLMENT, **more: Any) -> Story:
    """A learner with one minute of learning time."""
    session = Session(
        started_at=MARCH_9,
        ended_at=MARCH_9 + timedelta(minutes=1),
        event_count=2,
        late_event_count=0,
        line_count=2,
        microseconds=60_000_000,
        counted_microseconds=60_000_000,
    )
    day = Day(
        date=date(2026, 3, 9), microseconds=60_000_000, seconds=60, event_count=2, session_count=1
    )
    facts: dict[str, Any] = {
        "user_id": 1,
        "courserun_key": RUN,
        "enrollments": [enrollment],
        "completion": {"passed_at": PASSED},
        "number": reckon([session], [day]),
        "lines": [],
        "lines_since": MARCH_9,
        "loads": [{"loaded_at": MARCH_9, "events": 2}],
        "mart_seconds": {},
        "webhooks": webhooks,
        "attempts": {},
        "computed_through": MARCH_9,
        "rule": {"session_timeout_seconds": "1800", "long_gap_rule": "drop"},
    }
    return Story(**facts | more)


def told(one: Story, *pauses: Pause) -> list[tuple[datetime, str, str]]:
    entries = timeline(
        one,
        max_wait=timedelta(hours=2),
        hosts={1: "hooks.example.com"},
        pauses=Pauses(pauses, NOW),
    )
    return [(entry.at, entry.what, entry.details) for entry in entries]


@pytest.mark.parametrize(
    ("webhook", "at", "what", "details"),
    [
        (
            WEBHOOK,
            RECORDED + timedelta(hours=2),
            "waits until",
            "computed through 2026-03-09 09:00",
        ),
        (SENT, NOW, "next attempt", "number 2, to endpoint 1 (hooks.example.com)"),
        (SENT | {"state": "delivered", "delivered_at": NOW}, NOW, "delivered", "has it"),
        (
            SENT | {"state": "held", "state_reason": "endpoint_disabled"},
            NOW,
            "held",
            f"To do: {Reason.ENDPOINT_DISABLED.action}",
        ),
        (SENT | {"state": "dead", "state_reason": "endpoint_gone"}, NOW, "dead", "410"),
        (
            WEBHOOK | {"state": "suppressed", "state_reason": "before_activation"},
            NOW,
            "suppressed",
            f"To do: {Reason.BEFORE_ACTIVATION.action}",
        ),
        (WEBHOOK | {"state": "held", "state_reason": "of_the_future"}, NOW, "held", "from another"),
    ],
)
def test_the_story_ends_where_the_webhook_stands(
    webhook: dict[str, Any], at: datetime, what: str, details: str
) -> None:
    *_, last = told(story(webhook))
    assert last[:2] == (at, what)
    assert details in last[2]


@pytest.mark.parametrize(
    ("event_type", "end"),
    [
        ("course_completion", ("waits until", "after that it is built without it")),
        ("course_completion_correction", ("waits until", "after that nothing is sent")),
        ("course_enrollment", ("not built", "built by the next run")),
    ],
)
def test_only_what_has_learning_time_waits_for_it(event_type: str, end: tuple[str, str]) -> None:
    said = told(story(SENT, WEBHOOK | {"event_type": event_type, "webhook_id": "x"}))
    assert any((what, details.endswith(end[1])) == (end[0], True) for _, what, details in said)


def test_a_pause_is_why_the_next_attempt_is_not_made() -> None:
    pause = Pause(pause_id="p", reason="their window", paused_at=NOW, paused_by="on call")
    *_, (_, what, details) = told(story(SENT), pause)
    assert what == "next attempt"
    assert details.endswith(f"by the next run, but {pause}")


def test_an_attempt_says_whose_failure_it_was() -> None:
    ours, theirs = ATTEMPT, ATTEMPT | {"attribution": "theirs", "status_code": 503}
    said = told(story(SENT, attempts={"w": [ours, theirs]}))
    attempts = [details for _, what, details in said if what == "attempt 1"]
    assert attempts == [
        "endpoint 1 (hooks.example.com): retry, E_DNS, sender error, in 7 ms",
        "endpoint 1 (hooks.example.com): retry, status 503, E_DNS, receiver error, in 7 ms",
    ]


def test_who_is_not_reported_is_told_why_and_nobody_waits_for_a_run() -> None:
    eligible = [what for _, what, _ in told(story())]
    assert eligible[-1] == "not recorded"
    withdrawn = ENROLLMENT | {"is_consent_granted": False, "ineligible_reason": "consent_missing"}
    said = told(story(enrollment=withdrawn))
    assert [what for _, what, _ in said] == eligible[:-1]
    assert said[-1][2].endswith("consent_missing")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"loads": [{"loaded_at": NOW, "events": 3}]}, "3 events were loaded after it was built"),
        ({"completion": {"passed_at": NOW}}, "the completion was at 2026-03-10 09:00:00"),
        ({}, "no event was loaded after it was built"),
        ({"completion": None}, ""),
    ],
)
def test_a_number_that_differs_from_the_one_sent_has_a_reason(
    changes: dict[str, Any], why: str
) -> None:
    assert why in difference(story(SENT, **changes), SENT)
    assert bool(difference(story(SENT, **changes), SENT)) is bool(why)
    assert difference(story(SENT, **changes), SENT | {"learning_time_seconds": 60}) == ""
