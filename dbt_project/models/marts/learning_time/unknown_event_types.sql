with

lines as (
    select * from {{ ref('int_tracking_line_counts') }}
    where screening = 'event_not_selected'
),

final as (
    select
        coalesce(unselected_event_name, '') as event_name,
        sum(line_count)::number(38, 0) as line_count,
        min(first_logged_at) as first_logged_at,
        max(last_logged_at) as last_logged_at
    from lines
    group by coalesce(unselected_event_name, '')
)

select * from final
