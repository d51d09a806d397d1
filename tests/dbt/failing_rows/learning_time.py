"""Learning time: from lines to days, to the mart and to the completion."""

from __future__ import annotations

from datetime import date, datetime

from tests.dbt.scenario import ENTERPRISE_UUID, RUN
from tests.support.data_tests import NOW, Proof, Row, ago, copies, each_row

LEARNER = {"user_id": 1, "courserun_key": RUN}
OTHER_UUID = ENTERPRISE_UUID[:-1] + "f"
OTHERS = (
    {"user_id": 0},
    {"user_id": 2},
    {"courserun_key": RUN[:-1]},
    {"courserun_key": f"{RUN}b"},
)
SUNDAY, MONDAY, TUESDAY, WEDNESDAY = (date(2026, 3, day) for day in (1, 2, 3, 4))
PASSED = datetime(2026, 3, 3, 15)

GAP = {
    **LEARNER,
    "gap_microseconds": 1_000_000,
    "counted_microseconds": 1_000_000,
    "is_session_start": True,
    "line_count": 1,
}
DAY = {
    **LEARNER,
    "activity_date": TUESDAY,
    "learning_time_microseconds": 100_000_000,
    "learning_time_seconds": 100,
    "event_count": 3,
    "session_count": 1,
    "last_activity_at": datetime(2026, 3, 3, 14),
}
PUBLISHED = {
    **LEARNER,
    "enterprise_customer_uuid": ENTERPRISE_UUID,
    "date": TUESDAY,
    "learning_time_seconds": 100,
    "event_count": 3,
    "session_count": 1,
}
ENROLLED = {
    **LEARNER,
    "enterprise_customer_uuid": ENTERPRISE_UUID,
    "is_enrolled_ever": True,
    "is_course_team": False,
}
COMPLETION = {
    **LEARNER,
    "enterprise_customer_uuid": ENTERPRISE_UUID,
    "passed_at": PASSED,
    "learning_time_seconds": 150,
    "event_count": 5,
}
BEFORE = {
    **DAY,
    "activity_date": MONDAY,
    "learning_time_seconds": 40,
    "event_count": 2,
    "last_activity_at": datetime(2026, 3, 2, 14),
}
EARLIER = {**BEFORE, "activity_date": SUNDAY, "learning_time_seconds": 20, "event_count": 1}
ON_THE_DAY = {**DAY, "event_count": 4, "last_activity_at": datetime(2026, 3, 3, 23)}
AFTER = {**DAY, "activity_date": WEDNESDAY, "last_activity_at": datetime(2026, 3, 4, 9)}
LINE = {"loaded_at": NOW, "outcome": "learning"}
BAD_LINE = {**LINE, "outcome": "quarantined"}
NAME = {
    "event_name": "survey.opened",
    "line_count": 100,
    "first_logged_at": ago(days=7),
    "last_logged_at": NOW,
}
LONG_KNOWN = {
    "event_name": "survey.closed",
    "line_count": 5_000,
    "first_logged_at": ago(days=28, microseconds=1),
    "last_logged_at": ago(days=1),
}


def day_of_load(lines: int, bad: int, **changes: object) -> list[Row]:
    """Lines that were loaded together, and the number of them quarantined."""
    return [counted(lines - bad, {**LINE, **changes}), counted(bad, {**BAD_LINE, **changes})]


def share(learning: int, lines: int, *, days: int = 0) -> list[Row]:
    """Lines that were loaded some days ago, and the number of them learning."""
    at = {"loaded_at": ago(days=days)}
    other = {**LINE, "outcome": "dropped", "screening": "user_missing"}
    return [counted(learning, {**LINE, **at}), counted(lines - learning, {**other, **at})]


def counted(lines: int, line: Row) -> Row:
    """Lines that have all in common."""
    return {**line, "line_count": lines}


PROOFS: dict[str, Proof] = {
    "assert_every_learning_line_is_counted_once": Proof(
        {
            "int_tracking_events": [LINE, LINE, LINE, {**LINE, "outcome": "dropped"}, BAD_LINE],
            "int_learning_gaps": [{**GAP, "line_count": 2}, GAP],
        },
        fails={
            "a line more": {"int_tracking_events": copies(4, LINE)},
            "a line less": {"int_tracking_events": copies(2, LINE)},
            "no line at all": {"int_tracking_events": []},
            "nothing counted": {"int_learning_gaps": []},
            "a count is missing": {"int_learning_gaps": [{**GAP, "line_count": None}, GAP]},
        },
    ),
    "no_event_counts_more_than_the_gap_behind_it": each_row(
        "int_learning_gaps",
        GAP,
        passes={
            "less than the gap": {"counted_microseconds": 0},
            "the last event, worth a tail": {"gap_microseconds": None},
        },
        fails={
            "more than the gap": {"counted_microseconds": 1_000_001},
            "less than nothing": {"counted_microseconds": -1},
            "the last event less than nothing": {
                "gap_microseconds": None,
                "counted_microseconds": -1,
            },
            "nothing known": {"counted_microseconds": None},
            "one of two": [{}, {"counted_microseconds": 1_000_001}],
        },
    ),
    "assert_days_add_up_to_gaps": Proof(
        {
            "int_learning_gaps": [
                {**GAP, "counted_microseconds": 130_000_000},
                {**GAP, "counted_microseconds": 70_000_000, "is_session_start": False},
                {**GAP, "counted_microseconds": 0, "is_session_start": False},
                {**GAP, "counted_microseconds": 0, "is_session_start": False},
                {**GAP, "counted_microseconds": 0, "is_session_start": False},
                {**GAP, "counted_microseconds": 0},
            ],
            "int_learning_time_daily": [DAY, {**DAY, "activity_date": WEDNESDAY}],
        },
        fails={
            **{
                f"{name}: {what}": {"int_learning_time_daily": [DAY, {**DAY, column: value}]}
                for name, column, right in (
                    ("events", "event_count", 3),
                    ("sessions", "session_count", 1),
                    ("microseconds", "learning_time_microseconds", 100_000_000),
                )
                for what, value in (("one less", right - 1), ("one more", right + 1))
            },
            # Sums of nothing are 0, for each column by itself.
            **{
                f"no {column}": {"int_learning_time_daily": copies(2, {**DAY, column: None})}
                for column in ("event_count", "session_count", "learning_time_microseconds")
            },
            "no counted_microseconds": {
                "int_learning_gaps": [
                    *copies(2, {**GAP, "counted_microseconds": None}),
                    *copies(4, {**GAP, "counted_microseconds": None, "is_session_start": False}),
                ]
            },
            "a session without an event": {
                "int_learning_gaps": [],
                "int_learning_time_daily": [
                    {**DAY, "event_count": 0, "learning_time_microseconds": 0}
                ],
            },
            "no day": {"int_learning_time_daily": []},
            "no gap": {"int_learning_gaps": []},
        },
    ),
    # A day of 25 hours.
    "int_learning_time_daily_fits_into_a_day": each_row(
        "int_learning_time_daily",
        DAY,
        passes={
            "nothing": {"learning_time_microseconds": 0},
            "all of it": {"learning_time_microseconds": 90_000_000_000},
        },
        fails={
            "less than nothing": {"learning_time_microseconds": -1},
            "more than all of it": {"learning_time_microseconds": 90_000_000_001},
            "not known": {"learning_time_microseconds": None},
        },
    ),
    "assert_no_day_of_a_learner_exceeds_its_hours": each_row(
        "int_learning_time_daily",
        {**DAY, "learning_time_seconds": 86_400},
        passes={
            "two learners": [{}, {"user_id": 2}],
            "two days": [{}, {"activity_date": WEDNESDAY}],
        },
        warns={
            "two course runs": [{}, {"courserun_key": f"{RUN}b", "learning_time_seconds": 1}],
            "one course run": {"learning_time_seconds": 86_401},
        },
    ),
    # 1,000 lines at least; more than 20 of them warn, more than 200 fail.
    "assert_quarantined_share_is_small": Proof(
        {"int_tracking_line_counts": day_of_load(1_000, 20)},
        passes={
            "a small day": {"int_tracking_line_counts": [counted(999, BAD_LINE)]},
            "days before the lookback": {
                "int_tracking_line_counts": [
                    *day_of_load(1_000, 1_000, loaded_at=ago(days=3, microseconds=1)),
                    counted(1, LINE),
                ]
            },
            "an outcome of another release": {
                "int_tracking_line_counts": [counted(1_000, {**LINE, "outcome": "skipped"})]
            },
            "neither day has enough": {
                "int_tracking_line_counts": [
                    *day_of_load(999, 999),
                    *day_of_load(999, 999, loaded_at=ago(days=1)),
                ]
            },
        },
        warns={
            "one more": {"int_tracking_line_counts": day_of_load(1_000, 21)},
            "less than a line in a thousand more": {
                "int_tracking_line_counts": day_of_load(1_049, 21)
            },
            "two loads of one day": {
                "int_tracking_line_counts": [
                    *day_of_load(500, 21),
                    *day_of_load(500, 0, loaded_at=ago(hours=1)),
                ]
            },
            "a good day beside it": {
                "int_tracking_line_counts": [
                    *day_of_load(1_000, 0),
                    *day_of_load(1_000, 21, loaded_at=ago(days=3)),
                ]
            },
            "as many as may be": {"int_tracking_line_counts": day_of_load(1_000, 200)},
        },
        fails={
            "too many": {"int_tracking_line_counts": day_of_load(1_000, 201)},
            "hardly too many": {"int_tracking_line_counts": day_of_load(1_004, 201)},
            "nothing else": {"int_tracking_line_counts": [counted(1_000, BAD_LINE)]},
        },
    ),
    # Half of what is expected, from a hundred expected lines on, within 28 days.
    "assert_learning_share_holds": Proof(
        {"int_tracking_line_counts": [*share(100, 200, days=1), *share(51, 200)]},
        passes={
            "the first day": {"int_tracking_line_counts": share(0, 500)},
            "small numbers": {
                "int_tracking_line_counts": [*share(99, 200, days=1), *share(0, 200)]
            },
            "a weekend": {
                "int_tracking_line_counts": [
                    *share(400, 800, days=3),
                    *share(60, 160, days=2),
                    *share(70, 170, days=1),
                    *share(300, 790),
                ]
            },
            "robots on one day": {
                "int_tracking_line_counts": [
                    *share(100, 200, days=1),
                    *share(100, 200),
                    counted(900, {**LINE, "outcome": "dropped", "screening": "bot"}),
                ]
            },
            "days before the window": {
                "int_tracking_line_counts": [*share(100, 200, days=30), *share(0, 200, days=1)]
            },
        },
        fails={
            "half of it": {"int_tracking_line_counts": [*share(100, 200, days=1), *share(50, 200)]},
            "all of it": {"int_tracking_line_counts": [*share(200, 200, days=1), *share(0, 200)]},
            "from a small day to a large one": {
                "int_tracking_line_counts": [*share(9, 10, days=1), *share(80, 200)]
            },
            "days ago, and nobody did anything": {
                "int_tracking_line_counts": [
                    *share(300, 300, days=20),
                    *share(0, 300, days=9),
                    *share(300, 300, days=1),
                ]
            },
            "it cannot become what is usual": {
                "int_tracking_line_counts": [
                    *share(900, 900, days=5),
                    *(one for day in range(5) for one in share(0, 300, days=day)),
                ]
            },
        },
    ),
    "assert_log_has_learning_events": Proof(
        {"int_tracking_line_counts": share(1, 3)},
        passes={
            "days before the lookback": {
                "int_tracking_line_counts": [*share(0, 3, days=4), *share(1, 3)]
            },
        },
        warns={
            "one other line": {"int_tracking_line_counts": share(0, 1)},
            "yesterday": {"int_tracking_line_counts": [*share(0, 2, days=1), *share(1, 3)]},
        },
        on_nothing="warn",
    ),
    # A hundred lines at least, new within 7 days, in a log of more than 28.
    "assert_no_new_event_is_left_out": Proof(
        {"unknown_event_types": [LONG_KNOWN]},
        passes={
            "rare": {"unknown_event_types": [LONG_KNOWN, {**NAME, "line_count": 99}]},
            "known for longer": {
                "unknown_event_types": [
                    LONG_KNOWN,
                    {**NAME, "first_logged_at": ago(days=7, microseconds=1)},
                ]
            },
            "a young log": {
                "unknown_event_types": [{**LONG_KNOWN, "first_logged_at": ago(days=28)}, NAME]
            },
            "a log of a day": {"unknown_event_types": [{**NAME, "first_logged_at": ago(days=1)}]},
        },
        warns={"new and frequent": {"unknown_event_types": [LONG_KNOWN, NAME]}},
    ),
    # Six hours.
    "assert_learning_time_keeps_up": each_row(
        "learning_time_watermark",
        {
            "computed_through": ago(hours=5, minutes=59),
            "newest_line_at": ago(hours=5, minutes=49),
            "newest_loaded_at": ago(hours=1),
        },
        passes={"before the first line": {"computed_through": None}},
        warns={"late": {"computed_through": ago(hours=6)}},
    ),
    "learning_time_watermark_claims_no_more_than_is_loaded": each_row(
        "learning_time_watermark",
        {"computed_through": NOW, "newest_loaded_at": NOW},
        passes={
            "before the first line": {"computed_through": None, "newest_loaded_at": None},
            "less than is loaded": {"computed_through": ago(minutes=10)},
        },
        fails={
            "more than is loaded": {"newest_loaded_at": ago(microseconds=1)},
            "nothing is loaded": {"newest_loaded_at": None},
        },
    ),
    "assert_learning_time_is_the_days_of_its_learners": Proof(
        {
            "int_learning_time_daily": [DAY],
            "int_enterprise_enrollments_with_team": [ENROLLED],
            "learning_time": [PUBLISHED],
        },
        passes={
            "two enterprises": {
                "int_enterprise_enrollments_with_team": [
                    ENROLLED,
                    {**ENROLLED, "enterprise_customer_uuid": OTHER_UUID},
                ],
                "learning_time": [
                    PUBLISHED,
                    {**PUBLISHED, "enterprise_customer_uuid": OTHER_UUID},
                ],
            },
            "a day of nothing": {
                "int_learning_time_daily": [
                    DAY,
                    {**DAY, "activity_date": MONDAY, "learning_time_seconds": 0},
                ]
            },
            "a day of a second": {
                "int_learning_time_daily": [{**DAY, "learning_time_seconds": 1}],
                "learning_time": [{**PUBLISHED, "learning_time_seconds": 1}],
            },
            "days of strangers and in other course runs": {
                "int_learning_time_daily": [DAY, *({**DAY, **other} for other in OTHERS)]
            },
            "enrolled without a day": {
                "int_enterprise_enrollments_with_team": [ENROLLED, {**ENROLLED, "user_id": 2}]
            },
            "never enrolled": {
                "int_enterprise_enrollments_with_team": [{**ENROLLED, "is_enrolled_ever": False}],
                "learning_time": [],
            },
            "of the course team": {
                "int_enterprise_enrollments_with_team": [{**ENROLLED, "is_course_team": True}],
                "learning_time": [],
            },
        },
        fails={
            "missing in the mart": {"learning_time": []},
            "missing in the days": {"int_learning_time_daily": []},
            "missing in the enrollments": {"int_enterprise_enrollments_with_team": []},
            "twice in the mart": {"learning_time": [PUBLISHED, PUBLISHED]},
            "missing for one of two enterprises": {
                "int_enterprise_enrollments_with_team": [
                    ENROLLED,
                    {**ENROLLED, "enterprise_customer_uuid": OTHER_UUID},
                ]
            },
            **{
                f"another {column}: {value}": {"learning_time": [{**PUBLISHED, column: value}]}
                for column, values in {
                    "enterprise_customer_uuid": (ENTERPRISE_UUID[:-1] + "0", OTHER_UUID, None),
                    "user_id": (0, 2, None),
                    "courserun_key": (RUN[:-1], f"{RUN}b", None),
                    "date": (MONDAY, WEDNESDAY, None),
                    "learning_time_seconds": (99, 101, None),
                    "event_count": (2, 4, None),
                    "session_count": (0, 2, None),
                }.items()
                for value in values
            },
            "a day of nothing is shown": {
                "int_learning_time_daily": [{**DAY, "learning_time_seconds": 0}],
                "learning_time": [{**PUBLISHED, "learning_time_seconds": 0}],
            },
            "never enrolled and shown": {
                "int_enterprise_enrollments_with_team": [{**ENROLLED, "is_enrolled_ever": False}]
            },
            "of the course team and shown": {
                "int_enterprise_enrollments_with_team": [{**ENROLLED, "is_course_team": True}]
            },
        },
    ),
    # Sixteen hours.
    "learning_time_days_are_not_very_long": each_row(
        "learning_time",
        {**PUBLISHED, "learning_time_seconds": 57_600},
        warns={
            "a second more": {"learning_time_seconds": 57_601},
            "no seconds": {"learning_time_seconds": None},
        },
    ),
    "learning_time_keys_and_seconds_are_plausible": each_row(
        "learning_time",
        PUBLISHED,
        passes={
            "a second": {"learning_time_seconds": 1},
            "a day of 25 hours": {"learning_time_seconds": 90_000},
        },
        fails={
            "a row of nothing": {"learning_time_seconds": 0},
            "more than a day": {"learning_time_seconds": 90_001},
            "no seconds": {"learning_time_seconds": None},
            "learner 0": {"user_id": 0},
            "no learner": {"user_id": None},
            "no enterprise": {"enterprise_customer_uuid": None},
            "no hyphens": {"enterprise_customer_uuid": ENTERPRISE_UUID.replace("-", "")},
            "upper case": {"enterprise_customer_uuid": ENTERPRISE_UUID.upper()},
            "something behind": {"enterprise_customer_uuid": f"{ENTERPRISE_UUID}0"},
            "something before": {"enterprise_customer_uuid": f"0{ENTERPRISE_UUID}"},
        },
    ),
    # 60 s and 3 events before the day of completion, 160 s and 7 events with it.
    "assert_completion_time_lies_between_days": Proof(
        {
            "completion_learning_time": [COMPLETION],
            "int_learning_time_daily": [EARLIER, BEFORE, ON_THE_DAY],
        },
        passes={
            "at the lower bounds": {
                "completion_learning_time": [
                    {**COMPLETION, "learning_time_seconds": 60, "event_count": 3}
                ]
            },
            "at the upper bounds": {
                "completion_learning_time": [
                    {**COMPLETION, "learning_time_seconds": 160, "event_count": 7}
                ]
            },
            "a day after the completion": {
                "int_learning_time_daily": [EARLIER, BEFORE, ON_THE_DAY, AFTER]
            },
            "all of it, and the last event at the completion": {
                "completion_learning_time": [{**COMPLETION, "learning_time_seconds": 160}],
                "int_learning_time_daily": [
                    EARLIER,
                    BEFORE,
                    {**ON_THE_DAY, "last_activity_at": PASSED},
                ],
            },
            "the last event a microsecond after the completion": {
                "int_learning_time_daily": [
                    EARLIER,
                    BEFORE,
                    {**ON_THE_DAY, "last_activity_at": PASSED.replace(microsecond=1)},
                ]
            },
            "no day and no time": {
                "completion_learning_time": [
                    {**COMPLETION, "learning_time_seconds": 0, "event_count": 0}
                ],
                "int_learning_time_daily": [],
            },
            "others' days": {
                "int_learning_time_daily": [
                    EARLIER,
                    BEFORE,
                    ON_THE_DAY,
                    *({**BEFORE, **other, "learning_time_seconds": 5_000} for other in OTHERS),
                ]
            },
            **{
                f"{what} alike": {
                    "completion_learning_time": [COMPLETION, {**COMPLETION, **other}],
                    "int_learning_time_daily": [
                        *(EARLIER, BEFORE, ON_THE_DAY),
                        *({**day, **other} for day in (EARLIER, BEFORE, ON_THE_DAY)),
                    ],
                }
                for what, other in (
                    ("learners", {"user_id": 2}),
                    ("course runs", {"courserun_key": f"{RUN}b"}),
                )
            },
            "two enterprises": {
                "completion_learning_time": [
                    COMPLETION,
                    {**COMPLETION, "enterprise_customer_uuid": OTHER_UUID},
                ]
            },
        },
        fails={
            "less than the days before": {
                "completion_learning_time": [{**COMPLETION, "learning_time_seconds": 59}]
            },
            "more than the days": {
                "completion_learning_time": [{**COMPLETION, "learning_time_seconds": 161}]
            },
            "fewer events than before": {
                "completion_learning_time": [{**COMPLETION, "event_count": 2}]
            },
            "more events than there are": {
                "completion_learning_time": [{**COMPLETION, "event_count": 8}]
            },
            "time of a day after the completion": {
                "completion_learning_time": [{**COMPLETION, "learning_time_seconds": 161}],
                "int_learning_time_daily": [EARLIER, BEFORE, ON_THE_DAY, AFTER],
            },
            "events of a day after the completion": {
                "completion_learning_time": [{**COMPLETION, "event_count": 8}],
                "int_learning_time_daily": [EARLIER, BEFORE, ON_THE_DAY, AFTER],
            },
            "not all of it though nothing came after": {
                "int_learning_time_daily": [
                    EARLIER,
                    BEFORE,
                    {**ON_THE_DAY, "last_activity_at": PASSED},
                ]
            },
            "time without a day": {
                "completion_learning_time": [{**COMPLETION, "event_count": 0}],
                "int_learning_time_daily": [],
            },
            "events without a day": {
                "completion_learning_time": [{**COMPLETION, "learning_time_seconds": 0}],
                "int_learning_time_daily": [],
            },
            "no time": {
                "completion_learning_time": [{**COMPLETION, "learning_time_seconds": None}]
            },
            "no events": {"completion_learning_time": [{**COMPLETION, "event_count": None}]},
            "no time of passing": {"completion_learning_time": [{**COMPLETION, "passed_at": None}]},
        },
    ),
}
