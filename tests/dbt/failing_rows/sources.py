"""What comes from elsewhere: the raw log, the replicas and the seed."""

from __future__ import annotations

from tests.support.data_tests import NOW, Proof, ago, each_row

PATTERN = {
    "match_type": "prefix",
    "pattern": "edx.video.",
    "category": "video",
    "is_learning": True,
}

PROOFS: dict[str, Proof] = {
    "tracking_logs_loaded_at_is_filled": each_row(
        "tracking_logs",
        {"loaded_at": NOW},
        fails={"no time of load": {"loaded_at": None}, "one of two": [{}, {"loaded_at": None}]},
    ),
    # Six hours, counted from the newest row.
    "tracking_logs_are_being_loaded": each_row(
        "tracking_logs",
        {"loaded_at": ago(hours=6)},
        passes={"the newest counts": [{"loaded_at": ago(days=9)}, {}]},
        warns={"a moment more": {"loaded_at": ago(hours=6, microseconds=1)}},
    ),
    # Three days, counted from the newest row.
    "stg_lms__course_grades_are_being_replicated": each_row(
        "stg_lms__course_grades",
        {"modified_at": ago(hours=72)},
        passes={"the newest counts": [{"modified_at": ago(days=9)}, {}]},
        warns={"a moment more": {"modified_at": ago(hours=72, microseconds=1)}},
    ),
    "learning_event_patterns_match_type_is_known": each_row(
        "learning_event_patterns",
        PATTERN,
        passes={"exact": {"match_type": "exact"}},
        fails={
            "another": {"match_type": "regex"},
            "another case": {"match_type": "Prefix"},
            "none": {"match_type": None},
        },
    ),
    "learning_event_patterns_category_is_known": each_row(
        "learning_event_patterns",
        PATTERN,
        passes={
            **{
                name: {"category": name}
                for name in (
                    *("component", "exam", "forum", "navigation", "open_response"),
                    *("problem", "team", "text"),
                )
            },
            "none for what is not learning": {"category": None, "is_learning": False},
        },
        fails={
            "another": {"category": "survey"},
            "none": {"category": None},
        },
    ),
    "assert_prefix_patterns_do_not_overlap": each_row(
        "learning_event_patterns",
        PATTERN,
        passes={
            "neighbors": [{}, {"pattern": "edx.videos"}],
            "an exact name under a prefix": [
                {},
                {"match_type": "exact", "pattern": "edx.video.played"},
            ],
            "a short exact name": {"match_type": "exact", "pattern": "play"},
            "six characters": {"pattern": "edx.vi"},
            "a match of another release": {"match_type": "regex", "pattern": "edx"},
        },
        fails={
            "the longer one second": [{}, {"pattern": "edx.video.hidden."}],
            "the longer one first": [{"pattern": "edx.video.hidden."}, {}],
            "five characters": {"pattern": "edx.v"},
        },
    ),
}
