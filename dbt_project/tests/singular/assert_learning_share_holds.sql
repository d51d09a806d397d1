{#
    Load days on which the share of learning lines fell by `learning_share_max_fall` or more from
    that of all lines of the `learning_share_days` before: a log that can no longer be parsed looks
    like inactive learners.

    A share rather than a count, and against four weeks together: weekends and holidays have fewer
    lines, but a similar mix. Bot lines are excluded on both sides, since their volume is irregular.
    Days with fewer than `learning_share_min_lines` expected learning lines are skipped: chance can
    halve a few, but not a hundred. The first day has no baseline. A broken day is an error for as
    long as it is in the window, so it cannot become the baseline; `learning_share_accepted_through`
    restarts the baseline after a day.
#}
{{ config(meta={'dagster': {'ref': {'name': 'int_tracking_line_counts'}}}) }}

with

days as (
    select
        loaded_at::date as loaded_date,
        sum(iff(screening = 'bot', 0, line_count)) as line_count,
        sum(iff(outcome = 'learning', line_count, 0)) as learning_count
    from {{ ref('int_tracking_line_counts') }}
    where loaded_at::date > '{{ var("learning_share_accepted_through") }}'::date
    group by loaded_at::date
),

newest as (
    select max(loaded_date) as loaded_date from days
),

compared as (
    select
        days.loaded_date,
        days.line_count,
        days.learning_count,
        sum(earlier.line_count) as earlier_line_count,
        sum(earlier.learning_count) as earlier_learning_count
    from days
    cross join newest
    inner join days as earlier
        on
            days.loaded_date > earlier.loaded_date
            and dateadd(day, -{{ var('learning_share_days') }}, days.loaded_date)
            <= earlier.loaded_date
    where days.loaded_date > dateadd(day, -{{ var('learning_share_days') }}, newest.loaded_date)
    group by days.loaded_date, days.line_count, days.learning_count
),

expected as (
    select
        *,
        line_count * earlier_learning_count / earlier_line_count as expected_count
    from compared
    where earlier_line_count > 0
),

final as (
    select
        loaded_date,
        line_count,
        learning_count,
        round(expected_count)::number(38, 0) as expected_count
    from expected
    where
        expected_count >= {{ var('learning_share_min_lines') }}
        and learning_count <= (1 - {{ var('learning_share_max_fall') }}) * expected_count
)

select * from final
