{#
    Days before the pass are the rounded days of the daily model, so that they add up with the mart
    `learning_time`; the day of the pass is measured again up to the pass and rounded once.
#}
with

passes as (
    select distinct
        user_id,
        courserun_key,
        passed_at,
        {{ local_date('passed_at') }} as pass_date
    from {{ ref('completed_enrollments') }}
),

daily as (
    select * from {{ ref('int_learning_time_daily') }}
),

gaps as (
    select * from {{ ref('int_learning_gaps') }}
),

days_before as (
    select
        passes.user_id,
        passes.courserun_key,
        passes.passed_at,
        daily.learning_time_seconds,
        daily.event_count,
        daily.first_activity_at,
        daily.last_activity_at
    from passes
    inner join daily
        on
            passes.user_id = daily.user_id
            and passes.courserun_key = daily.courserun_key
            and passes.pass_date > daily.activity_date
),

-- What runs into the day of the pass starts on the day before, by no more than it can count.
gaps_at_pass as (
    select
        passes.user_id,
        passes.courserun_key,
        passes.passed_at,
        gaps.event_at,
        {{ day_start('passes.pass_date') }} as day_starts_at,
        dateadd('microsecond', gaps.counted_microseconds, gaps.event_at) as counted_until
    from passes
    inner join gaps
        on
            passes.user_id = gaps.user_id
            and passes.courserun_key = gaps.courserun_key
            and passes.passed_at >= gaps.event_at
    where
        gaps.event_at >= dateadd(
            second, -{{ longest_credit_seconds() }}, {{ day_start('passes.pass_date') }}
        )
),

clipped as (
    select
        *,
        greatest(event_at, day_starts_at) as piece_from,
        least(counted_until, passed_at) as piece_until
    from gaps_at_pass
),

day_of_pass as (
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

    select * from day_of_pass
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
