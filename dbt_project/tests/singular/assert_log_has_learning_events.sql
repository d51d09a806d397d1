{#
    Load days without a single learning event, however few their lines, and a log without any lines.
    Warn only: a quiet day is possible, and the first day starts empty.
#}
{{ config(
    severity='warn',
    meta={'dagster': {'ref': {'name': 'int_tracking_line_counts'}}},
) }}

with

lines as (
    select * from {{ ref('int_tracking_line_counts') }}
),

days as (
    select
        loaded_at::date as loaded_date,
        sum(line_count) as line_count,
        sum(iff(outcome = 'learning', line_count, 0)) as learning_count
    from lines
    group by loaded_at::date
),

log as (
    select
        max(loaded_date) as newest_date,
        coalesce(sum(line_count), 0) as line_count
    from days
),

final as (
    select
        days.loaded_date,
        days.line_count
    from days
    cross join log
    where
        days.learning_count = 0
        and days.loaded_date >= dateadd(day, -{{ var('late_arrival_days') }}, log.newest_date)

    union all

    select
        newest_date as loaded_date,
        line_count
    from log
    where line_count = 0
)

select * from final
