with

lines as (
    select * from {{ ref('int_tracking_line_counts') }}
    where outcome = 'quarantined'
),

final as (
    select
        file_name,
        loaded_at,
        screening as reason,
        coalesce(line_excerpt, '') as line_excerpt,
        sum(line_count)::number(38, 0) as line_count
    from lines
    group by file_name, loaded_at, screening, coalesce(line_excerpt, '')
)

select * from final
