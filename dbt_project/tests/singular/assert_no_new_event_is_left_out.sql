{#
    New and frequent event names that are not in the seed. Warn only: the number stays correct for
    what it counts. While the log is young, every name is new, so the test does not warn.
#}
{{ config(severity='warn') }}

with

names as (
    select * from {{ ref('unknown_event_types') }}
),

log as (
    select
        min(first_logged_at) as begins_at,
        max(last_logged_at) as ends_at
    from names
),

final as (
    select
        names.event_name,
        names.line_count,
        names.first_logged_at
    from names
    cross join log
    where
        names.line_count >= {{ var('new_event_min_lines') }}
        and names.first_logged_at >= dateadd(day, -{{ var('new_event_days') }}, log.ends_at)
        and log.begins_at < dateadd(day, -4 * {{ var('new_event_days') }}, log.ends_at)
)

select * from final
