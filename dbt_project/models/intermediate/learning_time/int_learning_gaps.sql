{#
    Watermark   processed_at of int_tracking_events, which each row carries.
    Touched     the days within the session timeout of a line processed since then, for its
                learner in its course run (macros/increments.sql). A late or duplicate line
                touches its own days. With `long_gap_rule: cap` or `long_video_option`, all days
                of the learner in the course run.
    Invalid     a rule change needs one --full-refresh; without it, this model fails.
    Backfill    follows int_tracking_events automatically.
#}
{{ config(
    materialized='incremental',
    unique_key=['user_id', 'courserun_key', 'activity_date'],
) }}
{% if is_incremental() %}
{{ stop_unless_one_rule(this) }}
{% set increment = increment_of(ref('int_tracking_events'), this, "outcome = 'learning'") %}
{% endif %}

{% set timeline = 'partition by user_id, courserun_key order by event_at, event_key' %}
{% set timeout_microseconds = var('session_timeout_seconds') | int * 1000000 %}
{% set is_video_measured = var('long_video_option') %}

with

learning_lines as (
    select
        user_id,
        courserun_key,
        event_at,
        event_key,
        event_category,
        video_id,
        video_played_from,
        video_played_to,
        video_speed,
        loaded_at,
        processed_at
    from {{ ref('int_tracking_events') }}
    where outcome = 'learning'
),

{% if is_incremental() %}

new_lines as (
    select
        user_id,
        courserun_key,
        event_at
    from {{ ref('int_tracking_events') }}
    where {{ increment.is_new }}
),

touched as (
    {{ touched_days('new_lines') }}
),

lines_of_touched as (
    select *
    from learning_lines
    where
        {{ increment.is_near }}
        and {{ is_touched('learning_lines') }}
),

{% endif %}

-- The same learner, course run, time, event and payload is one event, however often it was logged
-- or loaded. Equal times alone do not make one event: one click may write several events.
distinct_events as (
    select
        user_id,
        courserun_key,
        event_at,
        event_key,
        min(event_category) as event_category,
        {% if is_video_measured %}
        min(video_id) as video_id,
        min(video_played_from) as video_played_from,
        min(video_played_to) as video_played_to,
        min(video_speed) as video_speed,
        {% endif %}
        count(*) as line_count,
        min(loaded_at) as first_loaded_at,
        max(processed_at) as processed_at
    from {{ 'lines_of_touched' if is_incremental() else 'learning_lines' }}
    group by user_id, courserun_key, event_at, event_key
),

neighbors as (
    select
        *,
        {% if is_video_measured %}
        case
            when lead(video_id) over ({{ timeline }}) = video_id
                then lead(video_played_to) over ({{ timeline }}) - video_played_from
        end as played_microseconds,
        {% endif %}
        lag(event_at) over ({{ timeline }}) as previous_event_at,
        lead(event_at) over ({{ timeline }}) as next_event_at
    from distinct_events
),

measured as (
    select
        *,
        {% if is_video_measured %}
        floor(played_microseconds * 1000 / video_speed) as video_microseconds,
        {% endif %}
        {{ local_date('event_at') }} as activity_date,
        datediff('microsecond', event_at, next_event_at) as gap_microseconds,
        coalesce(
            datediff('microsecond', previous_event_at, event_at)
            > {{ timeout_microseconds }},
            true
        ) as is_session_start
    from neighbors
),

credited as (
    select
        *,
        {{ credited_microseconds() }}::number(38, 0) as counted_microseconds
    from measured
),

final as (
    select
        user_id,
        courserun_key,
        activity_date,
        event_at,
        event_key,
        event_category,
        case
            when gap_microseconds <= {{ timeout_microseconds }} then gap_microseconds
        end as gap_microseconds,
        counted_microseconds,
        coalesce(counted_microseconds = gap_microseconds, false) as is_counted,
        is_session_start,
        line_count,
        first_loaded_at,
        processed_at,
        {{ rule_version() }} as rule_version
    from credited
    {% if is_incremental() %}
    where {{ is_touched('credited', by_day=true) }}
    {% endif %}
)

select * from final
{{ written_in_order_of('activity_date') }}
