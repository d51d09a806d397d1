{#
    Learning time up to the completion is at least that of the days before it, at most that plus the
    whole day of completion, and equal to the total when no event follows it: the marts agree.
#}
{{ config(meta={'dagster': {'ref': {'name': 'completion_learning_time'}}}) }}

with

completions as (
    select
        *,
        {{ local_date('passed_at') }} as passed_date
    from {{ ref('completion_learning_time') }}
),

daily as (
    select * from {{ ref('int_learning_time_daily') }}
),

bounds as (
    select
        completions.enterprise_customer_uuid,
        completions.user_id,
        completions.courserun_key,
        completions.passed_at,
        completions.learning_time_seconds,
        completions.event_count,
        sum(
            iff(daily.activity_date < completions.passed_date, daily.learning_time_seconds, 0)
        ) as seconds_before,
        sum(
            iff(daily.activity_date <= completions.passed_date, daily.learning_time_seconds, 0)
        ) as seconds_through,
        sum(
            iff(daily.activity_date < completions.passed_date, daily.event_count, 0)
        ) as events_before,
        sum(
            iff(daily.activity_date <= completions.passed_date, daily.event_count, 0)
        ) as events_through,
        coalesce(sum(daily.learning_time_seconds), 0) as seconds_ever,
        max(daily.last_activity_at) as last_activity_at
    from completions
    left join daily
        on
            completions.user_id = daily.user_id
            and completions.courserun_key = daily.courserun_key
    group by
        completions.enterprise_customer_uuid,
        completions.user_id,
        completions.courserun_key,
        completions.passed_at,
        completions.learning_time_seconds,
        completions.event_count
),

final as (
    select *
    from bounds
    where
        -- Written as what must hold, so that NULL fails.
        not coalesce(
            learning_time_seconds between seconds_before and seconds_through
            and event_count between events_before and events_through
            and (
                dateadd(second, {{ var('tail_seconds') }}, last_activity_at) > passed_at
                or learning_time_seconds = seconds_ever
            ),
            false
        )
)

select * from final
