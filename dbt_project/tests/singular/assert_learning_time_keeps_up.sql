{#
    Hours by which learning time lags. Warn only: completions are sent without it after their wait,
    and an error here would stop the mart that has to catch up.
#}
{{ config(
    severity='warn',
    fail_calc='coalesce(max(behind_hours), 0)',
    warn_if='>= ' ~ var('computed_through_warn_hours'),
) }}

with

final as (
    select
        computed_through,
        newest_line_at,
        newest_loaded_at,
        datediff(minute, newest_line_at, newest_loaded_at) as loading_minutes,
        floor(datediff(minute, computed_through, sysdate()) / 60) as behind_hours
    from {{ ref('learning_time_watermark') }}
)

select * from final
