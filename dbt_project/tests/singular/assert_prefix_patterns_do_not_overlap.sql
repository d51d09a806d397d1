{# A line that matches two prefixes would be read as two lines. #}
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

    -- The lookup key of int_tracking_events_screened does not find shorter ones.
    select
        pattern as shorter_pattern,
        null as longer_pattern
    from patterns
    where length(pattern) < 6
)

select * from final
