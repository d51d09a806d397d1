{#
    Watermark   processed_at of int_learning_gaps.
    Touched     the days that an event with a new line affects, as in int_learning_gaps.
    Invalid     a rule change needs one --full-refresh; without it, this model fails.
#}
{{ config(
    materialized='incremental',
    unique_key=['user_id', 'courserun_key', 'activity_date'],
) }}
{% if is_incremental() %}
{{ stop_unless_one_rule(this) }}
{% set increment = increment_of(ref('int_learning_gaps'), this) %}
{% endif %}

with

gaps as (
    select * from {{ ref('int_learning_gaps') }}
),

{% if is_incremental() %}

new_events as (
    select
        user_id,
        courserun_key,
        event_at
    from {{ ref('int_learning_gaps') }}
    where {{ increment.is_new }}
),

touched as (
    {{ touched_days('new_events') }}
),

gaps_of_touched as (
    select *
    from gaps
    where
        {{ increment.is_near }}
        and {{ is_touched('gaps') }}
),

{% endif %}

dated as (
    select
        user_id,
        courserun_key,
        event_at,
        event_category,
        is_session_start,
        first_loaded_at,
        processed_at,
        counted_microseconds,
        {{ local_date('event_at') }} as activity_date,
        case
            when counted_microseconds > 0
                then {{ local_date("dateadd('microsecond', counted_microseconds, event_at)") }}
        end as end_date
    from {{ 'gaps_of_touched' if is_incremental() else 'gaps' }}
),

-- The time credited to one event is at most a day, so it crosses at most one midnight.
split as (
    select
        *,
        case
            when end_date > activity_date
                then datediff('microsecond', event_at, {{ day_start('end_date') }})
            else counted_microseconds
        end as microseconds_before_midnight
    from dated
),

pieces as (
    select
        user_id,
        courserun_key,
        activity_date,
        microseconds_before_midnight as microseconds,
        1 as event_count,
        iff(is_session_start, 1, 0) as session_count,
        event_category,
        event_at,
        first_loaded_at,
        processed_at
    from split

    union all

    select
        user_id,
        courserun_key,
        end_date as activity_date,
        counted_microseconds - microseconds_before_midnight as microseconds,
        0 as event_count,
        0 as session_count,
        null::varchar as event_category,
        null::timestamp_ntz as event_at,
        null::timestamp_ntz as first_loaded_at,
        processed_at
    from split
    -- Time that ends exactly at midnight adds nothing to the next day.
    where end_date > activity_date and counted_microseconds > microseconds_before_midnight
),

final as (
    select
        user_id,
        courserun_key,
        activity_date,
        sum(microseconds)::number(38, 0) as learning_time_microseconds,
        {{ whole_seconds('sum(microseconds)') }} as learning_time_seconds,
        sum(event_count)::number(38, 0) as event_count,
        sum(session_count)::number(38, 0) as session_count,
        {{ kinds_of_group('event_category') }} as activity_kinds,
        min(event_at) as first_activity_at,
        max(event_at) as last_activity_at,
        max(first_loaded_at) as last_loaded_at,
        max(processed_at) as processed_at,
        {{ rule_version() }} as rule_version
    from pieces
    {% if is_incremental() %}
    where {{ is_touched('pieces', by_day=true) }}
    {% endif %}
    group by user_id, courserun_key, activity_date
)

select * from final
order by activity_date
