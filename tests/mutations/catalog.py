"""Ways to break learning time, each an exact text replacement with the cheapest test for it."""

from __future__ import annotations

from tests.mutations.mutation import Edit, Mutation, one

MODELS = "dbt_project/models"
EVENTS = f"{MODELS}/intermediate/learning_time/int_tracking_events.sql"
SCREENED = f"{MODELS}/intermediate/learning_time/int_tracking_events_screened.sql"
GAPS = f"{MODELS}/intermediate/learning_time/int_learning_gaps.sql"
DAILY = f"{MODELS}/intermediate/learning_time/int_learning_time_daily.sql"
TO_COMPLETION = f"{MODELS}/intermediate/learning_time/int_learning_time_to_completion.sql"
MART = f"{MODELS}/marts/learning_time/learning_time.sql"
WATERMARK = f"{MODELS}/marts/learning_time/learning_time_watermark.sql"
ENROLLMENTS = f"{MODELS}/intermediate/completions/int_enterprise_enrollments.sql"
COMPLETIONS = f"{MODELS}/intermediate/completions/int_enterprise_enrollments_screened.sql"
CREDITED = "dbt_project/macros/credited_microseconds.sql"
CALENDAR = "dbt_project/macros/calendar.sql"
BATCHES = "dbt_project/macros/changed_batches.sql"
INCREMENTS = "dbt_project/macros/increments.sql"
STAGING = f"{MODELS}/staging/tracking/stg_tracking__events.sql"

UNITS = "tests/learning_time/test_generated_units.py"
LATE = "tests/learning_time/test_late_lines.py"
HISTORY = "tests/learning_time/test_any_history.py"
POPULATION = "tests/learning_time/test_population.py"
REFERENCE = f"{UNITS}::test_every_unit_and_day_equals_the_reference"


MUTATIONS: tuple[Mutation, ...] = (
    one(
        "a gap of exactly the timeout does not count",
        CREDITED,
        "when gap_microseconds <= {{ timeout }} then",
        "when gap_microseconds < {{ timeout }} then",
        REFERENCE,
    ),
    one(
        "a gap of exactly the timeout starts a session",
        GAPS,
        "            > {{ timeout_microseconds }},",
        "            >= {{ timeout_microseconds }},",
        REFERENCE,
    ),
    one(
        "copies of a line are kept",
        EVENTS,
        "|| chr(31) || coalesce(payload_text, ''))",
        "|| chr(31) || row_number() over (order by raw_line))",
        f"{UNITS}::test_order_and_copies_do_not_matter",
    ),
    one(
        "equal times are taken for copies",
        EVENTS,
        "then md5(coalesce(event_name, '') || chr(31) || coalesce(payload_text, ''))",
        "then md5('')",
        REFERENCE,
    ),
    one(
        "whole seconds instead of microseconds",
        GAPS,
        "datediff('microsecond', event_at, next_event_at) as gap_microseconds",
        "datediff('second', event_at, next_event_at) * 1000000 as gap_microseconds",
        REFERENCE,
    ),
    one(
        "each gap is rounded",
        DAILY,
        "        microseconds_before_midnight as microseconds,",
        "        round(microseconds_before_midnight / 1000000) * 1000000 as microseconds,",
        REFERENCE,
    ),
    one(
        "seconds are cut off instead of rounded",
        CALENDAR,
        "round({{ microseconds }} / 1000000)::number(38, 0)",
        "floor({{ microseconds }} / 1000000)::number(38, 0)",
        f"{UNITS}::test_days_add_up_to_the_total_and_are_rounded_once",
    ),
    one(
        "no split at midnight",
        DAILY,
        "            when end_date > activity_date\n                then",
        "            when end_date > activity_date and 1 = 0\n                then",
        REFERENCE,
    ),
    one(
        "the part after midnight is lost",
        DAILY,
        "    where end_date > activity_date and",
        "    where end_date > activity_date and 1 = 0 and",
        f"{UNITS}::test_days_add_up_to_the_total_and_are_rounded_once",
    ),
    one(
        "the last event of a session is worth a minute",
        CREDITED,
        "else {{ var('tail_seconds') | int * 1000000 }}",
        "else {{ 60 * 1000000 }}",
        f"{UNITS}::test_a_total_is_the_sum_of_its_sessions",
    ),
    one(
        "neighbors in the order of content, not of time",
        GAPS,
        "'partition by user_id, courserun_key order by event_at, event_key'",
        "'partition by user_id, courserun_key order by event_key, event_at'",
        REFERENCE,
    ),
    one(
        "two runs of a learner make one timeline",
        GAPS,
        "'partition by user_id, courserun_key order by event_at, event_key'",
        "'partition by user_id order by event_at, event_key'",
        f"{UNITS}::test_other_lines_of_the_learner_change_nothing",
    ),
    one(
        "quarantined lines pass",
        SCREENED,
        "            when screening = 'learning' then 'learning'\n",
        "            when screening in ('learning', 'time_in_future') then 'learning'\n",
        f"{UNITS}::test_other_lines_of_the_learner_change_nothing",
    ),
    one(
        "bots count",
        SCREENED,
        "                then 'bot'\n",
        "                and 1 = 0 then 'bot'\n",
        f"{UNITS}::test_other_lines_of_the_learner_change_nothing",
    ),
    one(
        "offsets of times are dropped",
        "dbt_project/macros/parse_utc_timestamp.sql",
        "            then {{ cut_to_microseconds(text) }}\n",
        "            then left({{ text }}, length({{ text }}) - 6) || '+00:00'\n",
        "tests/dbt/test_reference.py",
    ),
    Mutation(
        "new lines are those after the newest event",
        (
            Edit(
                GAPS,
                "    from {{ 'lines_of_touched' if is_incremental() else 'learning_lines' }}\n",
                "    from learning_lines\n"
                "    {% if is_incremental() %}\n"
                "    where event_at > (select max(event_at) from {{ this }})\n"
                "    {% endif %}\n",
            ),
            Edit(
                GAPS,
                "unique_key=['user_id', 'courserun_key', 'activity_date']",
                "unique_key=['user_id', 'courserun_key', 'event_at', 'event_key']",
            ),
        ),
        (
            f"{LATE}::test_an_event_that_arrives_late_counts",
            f"{LATE}::test_a_gap_between_two_batches_counts",
            f"{LATE}::test_an_event_at_the_newest_time_counts",
            f"{LATE}::test_files_that_load_out_of_order_count",
            f"{LATE}::test_one_clock_ahead_stops_nothing",
        ),
    ),
    one(
        "touched learners are rebuilt from their new lines only",
        GAPS,
        "        and {{ is_touched('learning_lines') }}\n",
        "        and {{ is_touched('learning_lines') }}\n"
        "        and processed_at > (select max(t.processed_at) from {{ this }} as t)\n",
        f"{LATE}::test_a_gap_between_two_batches_counts",
    ),
    one(
        "days follow only lines newer than the newest day",
        DAILY,
        "    where {{ increment.is_new }}\n",
        "    where event_at > (select max(last_activity_at) from {{ this }})\n"
        "        and {{ increment.is_new }}\n",
        f"{LATE}::test_an_event_that_arrives_late_counts",
    ),
    one(
        "a batch that grew is not read again",
        BATCHES,
        "where coalesce(processed_batches.line_count, 0) <> arrived_batches.line_count",
        "where processed_batches.line_count is null",
        "tests/learning_time/test_incremental.py::test_a_batch_that_grew_after_it_was_read_is_read_again",
    ),
    one(
        "a batch without a file name keeps its NULL key",
        STAGING,
        "coalesce(file_name, '') as file_name",
        "file_name",
        "tests/learning_time/test_incremental.py::test_lines_without_a_file_name_are_read_once",
    ),
    one(
        "days are added to, not replaced",
        DAILY,
        "unique_key=['user_id', 'courserun_key', 'activity_date']",
        "unique_key=['user_id', 'courserun_key', 'activity_date', 'processed_at']",
        f"{LATE}::test_an_event_that_arrives_late_counts",
    ),
    one(
        "only the day of a new line is built again",
        INCREMENTS,
        "[-timeout, -timeout // 2, 0, timeout // 2, timeout]",
        "[0]",
        f"{LATE}::test_an_event_after_midnight_counts_on_the_day_before",
    ),
    one(
        "events before a touched day are not read",
        INCREMENTS,
        'timestamp_text("dateadd(second, -" ~ seconds',
        'timestamp_text("dateadd(second, -" ~ 0',
        f"{LATE}::test_a_late_line_leaves_sessions_across_midnight_whole",
    ),
    one(
        "events after a touched day are not read",
        INCREMENTS,
        '"dateadd(second, " ~ seconds',
        '"dateadd(second, " ~ 0',
        f"{LATE}::test_a_late_line_leaves_sessions_across_midnight_whole",
    ),
    one(
        "every enterprise record of a pair is a row",
        MART,
        "    inner join enrollments\n",
        "    inner join (\n"
        "        select * from enrollments union all select * from enrollments\n"
        "    ) as enrollments\n",
        f"{POPULATION}::test_further_records_of_a_pair_multiply_nothing",
    ),
    one(
        "every enrollment record of a pair is a row",
        ENROLLMENTS,
        "    qualify row_number() over (\n"
        "        partition by user_id, courserun_key\n"
        "        order by iff(is_doubtful, 0, 1), course_enrollment_id desc\n"
        "    ) = 1\n",
        "",
        f"{POPULATION}::test_further_records_of_a_pair_multiply_nothing",
    ),
    one(
        "no enrollment record is needed",
        MART,
        "    where is_enrolled_ever and not is_course_team\n",
        "    where not is_course_team\n",
        f"{POPULATION}::test_a_row_needs_an_enterprise_an_enrollment_record_and_no_role",
    ),
    one(
        "the course team counts",
        MART,
        "    where is_enrolled_ever and not is_course_team\n",
        "    where is_enrolled_ever\n",
        f"{POPULATION}::test_a_row_needs_an_enterprise_an_enrollment_record_and_no_role",
    ),
    one(
        "a role for the whole organization is overlooked",
        f"{MODELS}/intermediate/completions/int_enterprise_enrollments_with_team.sql",
        "    where roles.courserun_key is null\n",
        "    where roles.courserun_key is null and 1 = 0\n",
        f"{POPULATION}::test_a_row_needs_an_enterprise_an_enrollment_record_and_no_role",
    ),
    one(
        "consent is not asked for",
        COMPLETIONS,
        "            when not is_consent_granted then 'consent_missing'\n",
        "",
        f"{POPULATION}::test_a_completion_needs_consent_and_carries_the_time_to_the_completion",
    ),
    one(
        "time after the completion counts",
        TO_COMPLETION,
        "        least(counted_until, passed_at) as piece_until",
        "        counted_until as piece_until",
        "tests/dbt/test_reference.py",
    ),
    one(
        "the watermark claims the newest load",
        WATERMARK,
        "max(least(lines.last_logged_at, lines.loaded_at)) as newest_line_at",
        "max(lines.loaded_at) as newest_line_at",
        "tests/dbt/test_publication.py::test_the_watermark_stands_still_while_nothing_is_loaded",
    ),
    one(
        "the watermark has no delay",
        WATERMARK,
        "dateadd(minute, -{{ var('watermark_delay_minutes') }}, newest_line_at)",
        "newest_line_at",
        "tests/dbt/test_publication.py::test_the_watermark_stands_still_while_nothing_is_loaded",
    ),
)
