{#
    Watermark   processed_at of int_tracking_events, which each row carries.
    Touched     every (learner, course run) with a line processed since then is rebuilt from all of
                its events: a late line may change a gap, join two sessions or be a copy.
    Invalid     a change of `session_timeout_seconds` needs --full-refresh once.
    Backfill    follows int_tracking_events by itself.
#}
{{ config(materialized='incremental', unique_key=['user_id', 'courserun_key']) }}

with

learning_lines as (
    select
        user_id,
        courserun_key,
        event_at,
        event_key,
        event_category,
        loaded_at,
        processed_at
    from {{ ref('int_tracking_events') }}
    where outcome = 'learning'
),

{% if is_incremental() %}

touched as (
    select distinct
        user_id,
        courserun_key
    from {{ ref('int_tracking_events') }}
    where
        outcome = 'learning'
        and processed_at > (
            select coalesce(max(built.processed_at), '1970-01-01'::timestamp_ntz)
            from {{ this }} as built
        )
),

lines_of_touched as (
    select learning_lines.*
    from learning_lines
    inner join touched
        on
            learning_lines.user_id = touched.user_id
            and learning_lines.courserun_key = touched.courserun_key
),

{% endif %}

-- The same learner, course run, time, event and payload is one event, however often it was logged
-- or loaded. Equal times alone are not: one click may write several events.
distinct_events as (
    select
        user_id,
        courserun_key,
        event_at,
        event_key,
        min(event_category) as event_category,
        count(*) as line_count,
        min(loaded_at) as first_loaded_at,
        max(processed_at) as processed_at
    from {{ 'lines_of_touched' if is_incremental() else 'learning_lines' }}
    group by user_id, courserun_key, event_at, event_key
),

neighbours as (
    select
        *,
        lag(event_at) over (
            partition by user_id, courserun_key order by event_at, event_key
        ) as previous_event_at,
        lead(event_at) over (
            partition by user_id, courserun_key order by event_at, event_key
        ) as next_event_at
    from distinct_events
),

measured as (
    select
        *,
        datediff('microsecond', previous_event_at, event_at) as microseconds_before,
        datediff('microsecond', event_at, next_event_at) as gap_microseconds
    from neighbours
),

final as (
    select
        user_id,
        courserun_key,
        event_at,
        event_key,
        event_category,
        gap_microseconds,
        coalesce(
            gap_microseconds <= {{ var('session_timeout_seconds') | int * 1000000 }}, false
        ) as is_counted,
        coalesce(
            microseconds_before > {{ var('session_timeout_seconds') | int * 1000000 }}, true
        ) as is_session_start,
        line_count,
        first_loaded_at,
        processed_at
    from measured
)

select * from final
