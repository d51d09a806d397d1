"""Every edge case of the definition has rows in a dbt unit test named after it.

Read from the manifest at no cost; the unit tests themselves run in
``test_empty_warehouse.py``.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

EDGE_CASES = {
    # gaps and sessions
    "gap of exactly the timeout": "gap_of_exactly_the_timeout_counts",
    "gap of a microsecond more": "gap_of_a_microsecond_more_counts_nothing_and_starts_a_session",
    "gaps below one second": "gaps_below_one_second_are_exact",
    "one-event session": "one_event_session_is_worth_nothing_and_is_counted_as_a_session",
    "rounding": "a_day_is_rounded_once_after_adding_up",
    "idle tab": "idle_tab_counts_for_25_minutes_and_not_for_40",
    # copies and order
    "exact duplicate": "exact_duplicate_line_also_in_a_later_file_changes_nothing",
    "one action emitted twice": (
        "one_action_emitted_twice_adds_the_gap_between_its_lines_and_no_more"
    ),
    "events of one instant": "events_of_one_instant_all_stay_and_add_nothing",
    "lines out of order": "lines_out_of_order_are_put_in_order",
    "late event in a counted gap": "late_event_between_two_counted_events_changes_nothing",
    "late event in a longer hole": "late_event_in_a_longer_hole_joins_two_sessions",
    "session across batches": "session_across_two_batches_loses_nothing",
    # days
    "session across midnight": "session_across_midnight_is_split_and_belongs_to_its_first_day",
    "gap end at midnight": "gap_end_exactly_at_midnight_stays_on_the_earlier_day",
    "half a second around midnight": "half_a_second_around_midnight_rounds_to_nothing_on_both_days",
    "time zone and clock change": (
        "another_time_zone_and_its_clock_change_move_dates_and_keep_durations"
    ),
    "more than 24 hours a day": "more_than_24_hours_a_day_are_impossible",
    # who, where, with what
    "implausible device time": "clock",
    "username changed": "username",
    "several runs of one course": "several_runs_of_one_course_are_separate",
    "re-enrollment": "several_records_of_one_enrollment_stay_one_row",
    "staff and authors": "a_role_reaches_its_run_its_organization_or_everything",
    "course teams, several enterprises, activity outside an enrollment": (
        "learning_time_has_full_time_per_enterprise_and_leaves_out_teams_and_strangers"
    ),
    "polls and bots in a session": "poll_or_bot_never_keeps_a_session_alive",
    "polls with a denylist": "a_denylist_keeps_page_requests_and_drops_polls",
    "two tabs or devices": "two_tabs_or_devices_are_one_timeline",
    "two runs at the same time": "two_runs_at_the_same_time_each_count_their_own_gaps",
    # video
    "long video": "video_longer_than_the_timeout_counts_nothing_by_default",
    "long video with the option": (
        "video_longer_than_the_timeout_counts_what_was_played_with_the_option"
    ),
    "playback speed": "playback_speed_turns_media_time_into_time_on_the_clock",
    "broken video fields": "broken_video_fields_are_no_positions",
    # other readings of the rule
    "long gaps capped": "cap_counts_a_long_gap_as_one_timeout",
    "tail": "tail_is_added_after_the_last_event_of_a_session",
}

DIRTY_VARIANTS = {
    "line": "line",
    "time": "time",
    "user id": "user id",
    "course run": "course run",
    "course run in the URL": "URL",
    "course run in the URL with the option": (
        "a_course_run_only_in_the_url_is_found_with_the_option"
    ),
    "polls with the option": "polls_of_a_run_that_only_the_url_names_are_left_out",
    "payload": "payload",
    "name and legacy type": "name",
    "reasons": "reason",
    "agents and authoring": "agent",
    "unknown events": "names_that_the_seed_does_not_know_are_counted",
}

NAMED_BY = {
    "gaps_are_counted_as_defined": "courserun_key",
    "late_lines_change_what_they_touch": "courserun_key",
    "videos_count_what_was_played_with_the_option": "courserun_key",
    "days_have_what_was_counted_on_them": "courserun_key",
    "what_a_line_says_is_read_in_any_form_and_never_guessed": "file_name",
    "each_line_is_counted_under_its_first_reason": "file_name",
}
"""Unit tests with several cases, and the column whose value or prefix names a case."""


def cases_of(unit_test: dict[str, Any]) -> set[str]:
    """The cases in its expected rows; a unit test of a single case is named after it."""
    column = NAMED_BY.get(unit_test["name"])
    rows = unit_test["expect"]["rows"]
    return {row[column] for row in rows} if column else {unit_test["name"]}


def is_of(found: str, named: str) -> bool:
    return found == named or found.startswith(f"{named} ")


def test_every_edge_case_has_rows_in_a_unit_test(manifest: dict[str, Any]) -> None:
    found = {case for one in manifest["unit_tests"].values() for case in cases_of(one)}
    named = {**EDGE_CASES, **DIRTY_VARIANTS}
    missing = {
        case: name for case, name in named.items() if not any(is_of(one, name) for one in found)
    }
    assert missing == {}


def test_no_case_of_a_rule_is_missing_from_the_lists(manifest: dict[str, Any]) -> None:
    """Add a new edge case here, where readers look for what is covered."""
    named = {*EDGE_CASES.values(), *DIRTY_VARIANTS.values()}
    rule = {
        case
        for one in manifest["unit_tests"].values()
        if one["name"] in NAMED_BY
        or one["original_file_path"].endswith(("__edge_cases.yml", "_tracking__unit_tests.yml"))
        for case in cases_of(one)
    }
    assert {case for case in rule if not any(is_of(case, name) for name in named)} == set()


def test_each_edge_case_has_rows_of_its_own() -> None:
    repeated = Counter([*EDGE_CASES.values(), *DIRTY_VARIANTS.values()])
    assert [name for name, times in repeated.items() if times > 1] == []
