"""One learner's day, small enough to compute by hand.

    09:00:00.000  a click in the outline                     counts
    09:00:04.250  to the next unit                           counts
    09:00:09.500  a video starts                             counts
    09:12:30.125  a submission, as the browser saw it        counts
    09:12:30.525  the same one, as the server saw it         counts
    09:42:30.525  the page closes, exactly 1800 s later      counts, and still the same session
    09:50:00.000  a page request                             no learning event
    23:50:00.000  a video on a phone, received 2 days later
    00:06:40.000  paused after midnight                      600 s before and 400 s after midnight

Around it: an enrollment, an instructor's poll and a crawler. 2550.525 s in the morning and 600 s at
night make 3150.525 s, rounded once to 3151 s.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from sync.warehouse import Warehouse
from tests.dbt.scenario import ENTERPRISE_UUID, Batch, daily, enroll, load, prepare
from tests.reference import learning_time
from tests.reference.tracking_log import read_line
from tests.support.dbt import Dbt
from tests.support.scenarios import Scenarios

RUN = "course-v1:HarbourX+SAIL210+2026_T1"
LEARNER = 60931
PAGE = f"https://campus.example.com/courses/{RUN}/courseware/knots/"
BROWSER = "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_4) AppleWebKit/605.1.15"
LOADED_AT = datetime(2026, 3, 6, 8, 0, tzinfo=UTC)
RULED = (
    *("int_tracking_events_screened", "int_tracking_events"),
    *("int_learning_gaps", "int_learning_time_daily"),
)
"""The models that implement the rule."""
MARCH_4, MARCH_5 = date(2026, 3, 4), date(2026, 3, 5)


def event(time: str, name: str, source: str = "browser", **changes: Any) -> str:
    """A line of the learner, with ``changes``."""
    document: dict[str, Any] = {
        "name": name,
        "event_type": name,
        "event_source": source,
        "time": time,
        "username": "nora_lind",
        "context": {"course_id": RUN, "org_id": "HarbourX", "user_id": LEARNER, "path": "/event"},
        "event": "{}",
        "page": PAGE if source == "browser" else None,
        "referer": PAGE,
        "agent": BROWSER,
        "host": "campus.example.com",
        "session": "5e0c" * 8,
        "ip": "192.0.2.77",
        "accept_language": "sv-SE,sv;q=0.8",
    }
    return json.dumps(document | changes)


def phone(time: str, name: str, event_type: str, user_id: object) -> str:
    """A line that a phone sent two days after the event."""
    return event(
        time,
        name,
        "mobile",
        event_type=event_type,
        context={
            "course_id": RUN,
            "org_id": "HarbourX",
            "user_id": user_id,
            "path": "/segmentio/event",
            "received_at": "2026-03-06T07:15:12.400000+00:00",
        },
        event={"id": "i4x-HarbourX-SAIL210-video-knots", "code": "mobile"},
        agent="Dalvik/2.1.0 (Linux; U; Android 14)",
        session="",
    )


def request(time: str, path: str, **changes: Any) -> str:
    """The line that the server writes for any page request."""
    return event(time, path, "server", event='{"GET": {}, "POST": {}}', **changes)


ENROLLED = event("2026-03-04T08:57:30.118+00:00", "edx.course.enrollment.activated", "server")
CLICK = event("2026-03-04T09:00:00+00:00", "edx.ui.lms.outline.selected")
LINES = (
    ENROLLED,
    CLICK,
    event(
        "2026-03-04T09:00:04.250000+00:00",
        "edx.ui.lms.sequence.next_selected",
        event_type="seq_next",
        event='{"current_tab": 1, "tab_count": 5}',
    ),
    event("2026-03-04T09:00:09.500000+00:00", "play_video", event='{"id": "knots"}'),
    event("2026-03-04T09:12:30.125000+00:00", "problem_check", event="input_knot_2_1=bowline"),
    event(
        "2026-03-04T09:12:30.525000+00:00",
        "problem_check",
        "server",
        event={"attempts": 1, "success": "correct"},
        page="x_module",
    ),
    event("2026-03-04T09:42:30.525000+00:00", "page_close"),
    request("2026-03-04T09:50:00+00:00", f"/courses/{RUN}/progress"),
    phone("2026-03-04T23:50:00+00:00", "edx.video.played", "play_video", LEARNER),
    phone("2026-03-05T00:06:40+00:00", "edx.video.paused", "pause_video", str(LEARNER)),
    request(
        "2026-03-04T09:05:20.110000+00:00",
        f"/courses/{RUN}/instructor/api/list_instructor_tasks",
        context={"course_id": RUN, "user_id": 52},
    ),
    request(
        "2026-03-04T09:06:00.000333+00:00",
        f"/courses/{RUN}/about",
        context={"course_id": RUN, "user_id": None},
        agent="Mozilla/5.0 (compatible; ExampleBot/3.1)",
    ),
)
COPY_BEHIND_A_PREFIX = f"Mar  4 09:00:00 lms-2 [tracking] INFO - {CLICK}"


@pytest.fixture
def built(scenarios: Scenarios, warehouse: Warehouse, dbt: Dbt) -> Warehouse:
    """Built once, with the data tests of what is built."""

    def make(empty: Warehouse) -> None:
        prepare(empty)
        enroll(empty, [LEARNER], RUN)
        load(empty, Batch("tracking.log", LOADED_AT, (*LINES, COPY_BEHIND_A_PREFIX)))
        without = ("--exclude", "resource_type:unit_test", "test_name:replica_is_readable")
        dbt("build", "--select", "+learning_time", *without, "--indirect-selection", "buildable")

    scenarios.stand("worked example", make)
    return warehouse


def test_the_mart_has_what_a_person_computes_by_hand(built: Warehouse) -> None:
    """A copy of a line behind a logger prefix makes no difference."""
    rows = built.rows("select * from analytics.marts.learning_time order by date")
    assert [
        (row["date"], row["learning_time_seconds"], row["event_count"], row["session_count"])
        for row in rows
    ] == [(MARCH_4, 3151, 7, 2), (MARCH_5, 400, 1, 0)]
    assert {(row["user_id"], row["courserun_key"]) for row in rows} == {(LEARNER, RUN)}
    assert {row["enterprise_customer_uuid"] for row in rows} == {ENTERPRISE_UUID}


def test_the_reference_agrees(built: Warehouse) -> None:
    expected = {
        key: (day.microseconds, day.event_count, day.session_count)
        for key, day in reference(LINES).items()
    }
    assert daily(built) == expected
    assert {day: one.seconds for (_, _, day), one in reference(LINES).items()} == {
        MARCH_4: 3151,
        MARCH_5: 400,
    }


@pytest.mark.parametrize(
    ("parameter", "microseconds"),
    [
        # One second less takes exactly the 1800 s gap away: the timeout is inclusive.
        pytest.param("session_timeout_seconds: 1799", 1_350_525_000, id="timeout"),
        # The page request counts.
        pytest.param("event_selection: denylist", 3_600_000_000, id="denylist"),
    ],
)
def test_another_rule_gives_another_number(
    built: Warehouse, dbt: Dbt, parameter: str, microseconds: int
) -> None:
    dbt("run", "--select", *RULED, "--full-refresh", "--vars", f"{{{parameter}}}")

    assert daily(built)[LEARNER, RUN, MARCH_4][0] == microseconds


def reference(lines: Sequence[str]) -> dict[tuple[int, str, date], learning_time.Day]:
    """The result of the Python definition for the lines."""
    events = [event for one in lines if (event := read_line(one, LOADED_AT)) is not None]
    return dict(learning_time.days(events))
