{#
    The time up to which learning time is complete: the newest log time that has been loaded and
    computed, less a delay.

    A line proves that the log reached the line's time, but no later than its load: the earlier of
    the two counts. Quarantined lines and mobile device clocks are ignored. While loading is
    stopped, or a failed upstream test stops this model, the watermark does not advance.
#}
with

lines as (
    select * from {{ ref('int_tracking_line_counts') }}
),

computed as (
    select max(processed_at) as computed_to from {{ ref('int_learning_time_daily') }}
),

-- Learning lines not yet in the daily model, as after a partial run, do not count.
pending as (
    select min(lines.processed_at) as pending_from
    from lines
    cross join computed
    where
        lines.outcome = 'learning'
        and (computed.computed_to is null or lines.processed_at > computed.computed_to)
),

proven as (
    select
        max(least(lines.last_logged_at, lines.loaded_at)) as newest_line_at,
        max(lines.loaded_at) as newest_loaded_at
    from lines
    cross join pending
    where
        lines.last_logged_at is not null
        and (pending.pending_from is null or lines.processed_at < pending.pending_from)
),

final as (
    select
        dateadd(minute, -{{ var('watermark_delay_minutes') }}, newest_line_at) as computed_through,
        newest_line_at,
        newest_loaded_at
    from proven
)

select * from final
