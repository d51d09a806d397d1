{# A line that matched two prefixes would be read as two lines. #}
with

patterns as (
    select * from {{ ref('learning_event_patterns') }}
    where match_type = 'prefix'
),

final as (
    select
        shorter.pattern as shorter_pattern,
        longer.pattern as longer_pattern
    from patterns as shorter
    inner join patterns as longer
        on startswith(longer.pattern, shorter.pattern) and shorter.pattern <> longer.pattern

    union all

    -- Shorter ones are not found by the look-up key of int_tracking_events_screened.
    select
        pattern as shorter_pattern,
        null as longer_pattern
    from patterns
    where length(pattern) < 6
)

select * from final
