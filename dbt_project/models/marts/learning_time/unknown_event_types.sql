with

lines as (
    select * from {{ ref('int_tracking_events') }}
    where screening = 'event_not_selected'
),

final as (
    select
        coalesce(unselected_event_name, '') as event_name,
        count(*)::number(38, 0) as line_count,
        min(logged_at) as first_logged_at,
        max(logged_at) as last_logged_at
    from lines
    group by coalesce(unselected_event_name, '')
)

select * from final
