{#
    A learner may have two course runs open at once, and each counts its own gaps: 4 to 15% more
    than elapsed time in real logs. A day of more than 24 hours is therefore possible, but rare
    enough to check, and only a warning.
#}
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'int_learning_time_daily'}}}) }}

with

daily as (
    select * from {{ ref('int_learning_time_daily') }}
),

final as (
    select
        user_id,
        activity_date,
        sum(learning_time_seconds) as learning_time_seconds
    from daily
    group by user_id, activity_date
    having sum(learning_time_seconds) > 86400
)

select * from final
