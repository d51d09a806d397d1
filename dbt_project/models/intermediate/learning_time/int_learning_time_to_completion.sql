{#
    Days before the completion are the rounded days of the daily model, so they add up with the
    mart `learning_time`; the day of the completion is recomputed up to it and rounded once.

    Watermark   processed_at: the newest in int_learning_gaps when the row was computed.
    Touched     completions without a row, and those with an event processed since then that is
                before them or, ending the gap across them, within the session timeout after them.
    Invalid     a rule change needs one --full-refresh; without it, this model fails. The row
                of a removed completion stays but is never read.
    Backfill    follows int_learning_gaps automatically.
#}
{{ config(
    materialized='incremental',
    unique_key=['user_id', 'courserun_key', 'passed_at'],
) }}

{% set all_completions %}
    select distinct
        user_id,
        courserun_key,
        passed_at,
        {{ local_date('passed_at') }} as completion_date
    from {{ ref('int_reportable_enrollments') }}
    where passed_at is not null
{% endset %}

{% if is_incremental() %}
{{ stop_unless_one_rule(this) }}
{% set increment = increment_of(ref('int_learning_gaps'), this) %}
{% set touched_completions %}
    select completions.*
    from ({{ all_completions }}) as completions
    left join {{ this }} as built
        on
            completions.user_id = built.user_id
            and completions.courserun_key = built.courserun_key
            and completions.passed_at = built.passed_at
    left join (
        select
            user_id,
            courserun_key,
            min(event_at) as first_event_at
        from {{ ref('int_learning_gaps') }}
        where {{ increment.is_new }}
        group by user_id, courserun_key
    ) as arrived
        on
            completions.user_id = arrived.user_id
            and completions.courserun_key = arrived.courserun_key
            {% if follows_time() %}
            and dateadd(
                second, {{ var('session_timeout_seconds') | int }}, completions.passed_at
            ) >= arrived.first_event_at
            {% endif %}
    where built.user_id is null or arrived.user_id is not null
{% endset %}
{% endif %}

with

completions as (
    {{ touched_completions if is_incremental() else all_completions }}
),

daily as (
    select * from {{ ref('int_learning_time_daily') }}
),

gaps as (
    select * from {{ ref('int_learning_gaps') }}
    {% if is_incremental() %}
    where {{ near_days('completion_date', touched_completions, longest_credit_seconds()) }}
    {% endif %}
),

days_before as (
    select
        completions.user_id,
        completions.courserun_key,
        completions.passed_at,
        daily.learning_time_seconds,
        daily.event_count,
        daily.first_activity_at,
        daily.last_activity_at,
        daily.last_loaded_at
    from completions
    inner join daily
        on
            completions.user_id = daily.user_id
            and completions.courserun_key = daily.courserun_key
            and completions.completion_date > daily.activity_date
),

-- Time that runs into the day of the completion starts at most one maximum credit before that day.
gaps_at_completion as (
    select
        completions.user_id,
        completions.courserun_key,
        completions.passed_at,
        gaps.event_at,
        gaps.first_loaded_at,
        {{ day_start('completions.completion_date') }} as day_starts_at,
        dateadd('microsecond', gaps.counted_microseconds, gaps.event_at) as counted_until
    from completions
    inner join gaps
        on
            completions.user_id = gaps.user_id
            and completions.courserun_key = gaps.courserun_key
            and completions.passed_at >= gaps.event_at
    where
        gaps.event_at >= dateadd(
            second, -{{ longest_credit_seconds() }}, {{ day_start('completions.completion_date') }}
        )
),

clipped as (
    select
        *,
        greatest(event_at, day_starts_at) as piece_from,
        least(counted_until, passed_at) as piece_until
    from gaps_at_completion
),

day_of_completion as (
    select
        user_id,
        courserun_key,
        passed_at,
        {{ whole_seconds("sum(case when piece_until > piece_from "
            ~ "then datediff('microsecond', piece_from, piece_until) else 0 end)") }}
            as learning_time_seconds,
        sum(iff(event_at >= day_starts_at, 1, 0)) as event_count,
        min(case when event_at >= day_starts_at then event_at end) as first_activity_at,
        max(case when event_at >= day_starts_at then event_at end) as last_activity_at,
        max(first_loaded_at) as last_loaded_at
    from clipped
    group by user_id, courserun_key, passed_at
),

-- One of them may end the gap across the completion and so make it count.
events_after as (
    select
        completions.user_id,
        completions.courserun_key,
        completions.passed_at,
        0 as learning_time_seconds,
        0 as event_count,
        null::timestamp_ntz as first_activity_at,
        null::timestamp_ntz as last_activity_at,
        max(gaps.first_loaded_at) as last_loaded_at
    from completions
    inner join gaps
        on
            completions.user_id = gaps.user_id
            and completions.courserun_key = gaps.courserun_key
            and completions.passed_at < gaps.event_at
    where
        gaps.event_at <= dateadd(
            second, {{ var('session_timeout_seconds') | int }}, completions.passed_at
        )
    group by completions.user_id, completions.courserun_key, completions.passed_at
),

days as (
    select * from days_before

    union all

    select * from day_of_completion

    union all

    select * from events_after
),

final as (
    select
        completions.user_id,
        completions.courserun_key,
        completions.passed_at,
        coalesce(sum(days.learning_time_seconds), 0)::number(38, 0) as learning_time_seconds,
        coalesce(sum(days.event_count), 0)::number(38, 0) as event_count,
        min(days.first_activity_at) as first_activity_at,
        max(days.last_activity_at) as last_activity_at,
        max(days.last_loaded_at) as last_loaded_at,
        {{ increment.newest if is_incremental() else '(select max(processed_at) from gaps)' }}
            as processed_at,
        {{ rule_version() }} as rule_version
    from completions
    left join days
        on
            completions.user_id = days.user_id
            and completions.courserun_key = days.courserun_key
            and completions.passed_at = days.passed_at
    group by completions.user_id, completions.courserun_key, completions.passed_at
)

select * from final
