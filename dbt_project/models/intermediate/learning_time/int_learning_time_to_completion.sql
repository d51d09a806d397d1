{#
    Days before the completion are the rounded days of the daily model, so that they add up with the
    mart `learning_time`; the day of the completion is measured again up to it and rounded once.
#}
with

completions as (
    select distinct
        user_id,
        courserun_key,
        passed_at,
        {{ local_date('passed_at') }} as completion_date
    from {{ ref('int_reportable_enrollments') }}
    where passed_at is not null
),

daily as (
    select * from {{ ref('int_learning_time_daily') }}
),

gaps as (
    select * from {{ ref('int_learning_gaps') }}
),

days_before as (
    select
        completions.user_id,
        completions.courserun_key,
        completions.passed_at,
        daily.learning_time_seconds,
        daily.event_count,
        daily.first_activity_at,
        daily.last_activity_at
    from completions
    inner join daily
        on
            completions.user_id = daily.user_id
            and completions.courserun_key = daily.courserun_key
            and completions.completion_date > daily.activity_date
),

-- What runs into the day of the completion starts on the day before, by no more than it can count.
gaps_at_completion as (
    select
        completions.user_id,
        completions.courserun_key,
        completions.passed_at,
        gaps.event_at,
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
        max(case when event_at >= day_starts_at then event_at end) as last_activity_at
    from clipped
    group by user_id, courserun_key, passed_at
),

days as (
    select * from days_before

    union all

    select * from day_of_completion
),

final as (
    select
        user_id,
        courserun_key,
        passed_at,
        sum(learning_time_seconds)::number(38, 0) as learning_time_seconds,
        sum(event_count)::number(38, 0) as event_count,
        min(first_activity_at) as first_activity_at,
        max(last_activity_at) as last_activity_at
    from days
    group by user_id, courserun_key, passed_at
)

select * from final
