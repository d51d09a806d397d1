{# An incremental run that lost lines or kept a duplicate fails here before any mart. #}
with

read as (
    select count(*) as line_count
    from {{ ref('int_tracking_events') }}
    where outcome = 'learning'
),

counted as (
    select coalesce(sum(line_count), 0) as line_count
    from {{ ref('int_learning_gaps') }}
),

final as (
    select
        read.line_count as read_line_count,
        counted.line_count as counted_line_count
    from read
    cross join counted
    where read.line_count <> counted.line_count
)

select * from final
