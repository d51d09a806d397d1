{#
    Learning time up to the pass is at least that of the days before and at most that with the
    whole day of the pass: the two marts tell one story.
#}
{{ config(meta={'dagster': {'ref': {'name': 'completion_learning_time'}}}) }}

with

completions as (
    select
        *,
        {{ local_date('passed_at') }} as pass_date
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
        completions.learning_time_seconds,
        sum(
            iff(daily.activity_date < completions.pass_date, daily.learning_time_seconds, 0)
        ) as seconds_before,
        sum(
            iff(daily.activity_date <= completions.pass_date, daily.learning_time_seconds, 0)
        ) as seconds_through
    from completions
    left join daily
        on
            completions.user_id = daily.user_id
            and completions.courserun_key = daily.courserun_key
    group by
        completions.enterprise_customer_uuid,
        completions.user_id,
        completions.courserun_key,
        completions.learning_time_seconds
),

final as (
    select *
    from bounds
    where
        learning_time_seconds < seconds_before
        or learning_time_seconds > seconds_through
)

select * from final
