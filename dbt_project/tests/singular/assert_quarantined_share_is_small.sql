{#
    Share of quarantined lines, in thousandths, on the worst recent load day. A few bad lines
    are normal; a fifth of them means a changed log format or a broken loader, and then the marts
    keep their last good state. Fix the loader, or raise `quarantine_error_share` for one run.
#}
{{ config(
    fail_calc='coalesce(max(quarantined_per_thousand), 0)',
    warn_if='> ' ~ (var('quarantine_warn_share') * 1000) | round | int,
    error_if='> ' ~ (var('quarantine_error_share') * 1000) | round | int,
    meta={'dagster': {'ref': {'name': 'int_tracking_line_counts'}}},
) }}

with

newest as (
    select max(loaded_at) as loaded_at from {{ ref('int_tracking_line_counts') }}
),

days as (
    select
        lines.loaded_at::date as loaded_date,
        sum(lines.line_count) as line_count,
        sum(iff(lines.outcome = 'quarantined', lines.line_count, 0)) as quarantined_count
    from {{ ref('int_tracking_line_counts') }} as lines
    cross join newest
    where lines.loaded_at >= dateadd(day, -{{ var('late_arrival_days') }}, newest.loaded_at)
    group by lines.loaded_at::date
),

final as (
    select
        loaded_date,
        line_count,
        quarantined_count,
        -- Rounded up: 20.1 is more than 20.
        ceil(1000 * quarantined_count / line_count)::number(38, 0) as quarantined_per_thousand
    from days
    where line_count >= {{ var('quarantine_min_lines') }}
)

select * from final
order by quarantined_per_thousand desc nulls last
