{# Splitting at midnight moves time between days but never adds or loses any. #}
with

gaps as (
    select
        count(*) as event_count,
        coalesce(sum(iff(is_session_start, 1, 0)), 0) as session_count,
        coalesce(sum(counted_microseconds), 0) as microseconds
    from {{ ref('int_learning_gaps') }}
),

days as (
    select
        coalesce(sum(event_count), 0) as event_count,
        coalesce(sum(session_count), 0) as session_count,
        coalesce(sum(learning_time_microseconds), 0) as microseconds
    from {{ ref('int_learning_time_daily') }}
),

final as (
    select
        gaps.event_count as gaps_event_count,
        days.event_count as days_event_count,
        gaps.session_count as gaps_session_count,
        days.session_count as days_session_count,
        gaps.microseconds as gaps_microseconds,
        days.microseconds as days_microseconds
    from gaps
    cross join days
    where
        gaps.event_count <> days.event_count
        or gaps.session_count <> days.session_count
        or gaps.microseconds <> days.microseconds
)

select * from final
