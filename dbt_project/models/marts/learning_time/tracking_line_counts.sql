{# lines read = learning + duplicate + dropped + quarantined, for every load day #}
with

lines as (
    select
        loaded_at::date as loaded_date,
        outcome,
        screening,
        sum(line_count) as line_count
    from {{ ref('int_tracking_line_counts') }}
    group by loaded_at::date, outcome, screening
),

-- An event counts on the day its first line was loaded; every further line is a duplicate.
events as (
    select
        first_loaded_date as loaded_date,
        sum(event_count) as event_count
    from {{ ref('int_learning_event_counts') }}
    group by first_loaded_date
),

learning as (
    select
        lines.loaded_date,
        lines.line_count,
        coalesce(events.event_count, 0) as event_count
    from lines
    left join events
        on lines.loaded_date = events.loaded_date
    where lines.outcome = 'learning'
),

counted as (
    select
        loaded_date,
        outcome,
        screening as reason,
        line_count
    from lines
    where outcome <> 'learning'

    union all

    select
        loaded_date,
        'learning' as outcome,
        'learning' as reason,
        event_count as line_count
    from learning

    union all

    select
        loaded_date,
        'duplicate' as outcome,
        'duplicate' as reason,
        line_count - event_count as line_count
    from learning
),

final as (
    select
        loaded_date,
        outcome,
        reason,
        line_count::number(38, 0) as line_count
    from counted
)

select * from final
