"""Enrollment events: for endpoints that want them, and never with learning time."""

from __future__ import annotations

import json

import pytest

from sync.delivery.events import MartUnreadable, read_with_facts
from sync.delivery.record import Recorded
from sync.domain.event_types import EventType
from sync.operations.formats import EVENT
from tests.support.completions import COURSE_RUN, ENTERPRISE
from tests.support.event_types import ENROLLMENTS
from tests.support.marts import (
    ENROLLMENT_COLUMNS,
    LEARNING_TIME_COLUMNS,
    create_endpoints,
    create_table,
    endpoint,
    enrollment,
)
from tests.support.pipeline import (
    ACTIVATED_AT,
    Pipeline,
    learning_time,
)


@pytest.fixture
def enrolling(pipeline: Pipeline) -> Pipeline:
    """The pipeline with an enrollment, for an endpoint with enrollment events switched on."""
    create_endpoints(
        pipeline.warehouse,
        [endpoint(1, f"{pipeline.target.url}/hooks/x", is_enrollment_events_enabled=True)],
    )
    create_table(pipeline.warehouse, "enterprise_enrollments", ENROLLMENT_COLUMNS, [enrollment(1)])
    return pipeline


def test_an_enrollment_is_sent_once_and_never_carries_learning_time(enrolling: Pipeline) -> None:
    create_table(
        enrolling.warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, [learning_time(1)]
    )
    for _ in range(2):
        enrolling.detect(source=ENROLLMENTS)
        enrolling.build(enabled=True)
        enrolling.send()
    assert [json.loads(one.body) for one in enrolling.target.received] == [
        {
            "event_type": "course_enrollment",
            "event_version": "2.0",
            "event_source": "openedx_events",
            "timestamp": json.loads(enrolling.target.received[0].body)["timestamp"],
            "enterprise_customer": {"uuid": ENTERPRISE, "name": "Example Industries"},
            "learner": {"user_id": 1, "username": "learner_1", "email": "learner_1@example.com"},
            "course": {"course_key": COURSE_RUN},
            "enrollment": {
                "mode": "verified",
                "is_active": True,
                "enrollment_date": "2026-03-05T08:00:00Z",
            },
        }
    ]
    assert enrolling.rows("enrichment_outcome") == [{"enrichment_outcome": "not_a_completion"}]


def test_an_enrollment_and_the_completion_of_it_are_two_messages(enrolling: Pipeline) -> None:
    enrolling.detect()
    enrolling.detect(source=ENROLLMENTS)
    enrolling.build()
    enrolling.send()
    kinds = [json.loads(one.body)["event_type"] for one in enrolling.target.received]
    assert sorted(kinds) == ["course_completion"] * 2 + ["course_enrollment"]
    assert len({one.webhook_id for one in enrolling.target.received}) == 3


def test_nobody_hears_of_enrollments_with_the_events_switched_off(enrolling: Pipeline) -> None:
    off = endpoint(1, f"{enrolling.target.url}/hooks/x", is_enrollment_events_enabled=False)
    create_endpoints(enrolling.warehouse, [off])
    assert enrolling.detect(source=ENROLLMENTS) == Recorded(ACTIVATED_AT, awaiting=0, suppressed=0)
    assert enrolling.rows("webhook_id") == []


def test_a_type_whose_file_is_gone_is_named_keeps_its_events_and_stops_no_other(
    enrolling: Pipeline,
) -> None:
    enrolling.detect()
    enrolling.warehouse.execute(
        "update analytics.sync.webhook_outbox set event_type = 'badge_awarded' where user_id = 2"
    )
    for _ in range(2):
        with pytest.raises(MartUnreadable, match="no file describes the event type badge_awarded"):
            enrolling.build()
        enrolling.send()
    assert len(enrolling.target.received) == 1
    assert [row["state"] for row in enrolling.rows("state")] == ["delivered", "awaiting"]


def test_an_event_is_known_by_the_columns_of_its_key_whatever_others_its_mart_has(
    enrolling: Pipeline,
) -> None:
    """Two badges for one course run, in a mart that also has the course run."""
    badges = EventType.model_validate(
        {
            "name": "badge_awarded",
            "plural": "badges",
            "mart": "awarded_badges",
            "key": {"subject": "badge_key"},
            "occurred_at": "enrolled_at",
            "facts": {"enrolled_at": "time", "enrollment_mode": "text"},
            "formats": ["v2"],
            "endpoints": "all",
        }
    )
    columns = ENROLLMENT_COLUMNS | {"badge_key": "varchar(255)"}
    rows = [enrollment(1, badge_key=one) for one in ("gold", "silver")]
    create_table(enrolling.warehouse, "awarded_badges", columns, rows)
    assert enrolling.detect(source=badges) == Recorded(ACTIVATED_AT, awaiting=2, suppressed=0)
    assert {row["courserun_key"] for row in enrolling.rows("courserun_key")} == {"gold", "silver"}
    recorded = f"select {EVENT}, null as lost_endpoint_id from analytics.sync.webhook_outbox"
    found = read_with_facts(enrolling.warehouse, badges, recorded)
    assert {one.facts["courserun_key"] for one in found} == {"gold", "silver"}


def test_an_event_that_the_outbox_has_no_room_for_is_left_out_and_stops_no_other(
    enrolling: Pipeline,
) -> None:
    """The embedded engine would accept the long one; Snowflake refuses the whole statement."""
    long = enrollment(3, courserun_key="k" * 256)
    rows = [enrollment(1), enrollment(2, enrolled_at=None), long]
    create_table(enrolling.warehouse, "enterprise_enrollments", ENROLLMENT_COLUMNS, rows)
    found = enrolling.detect(source=ENROLLMENTS)
    assert found == Recorded(ACTIVATED_AT, awaiting=1, suppressed=0)
    assert enrolling.rows("user_id") == [{"user_id": 1}]
