{#
    Watermark   processed_at of int_tracking_events. A batch that grew is recounted in full.
    Invalid     an erasure changes the counts of its batches: the next run recounts all batches.
    Backfill    follows int_tracking_events automatically.
#}
{{ config(materialized='incremental', unique_key=['file_name', 'loaded_at']) }}

with

lines as (
    select * from {{ ref('int_tracking_events') }}
    {% if is_incremental() %}
    where {{ processed_since_counted(this) }}
    {% endif %}
),

final as (
    select
        file_name,
        loaded_at,
        processed_at,
        {{ run_stamp() }} as counted_at,
        outcome,
        screening,
        unselected_event_name,
        line_excerpt,
        count(*)::number(38, 0) as line_count,
        min(logged_at) as first_logged_at,
        max(logged_at) as last_logged_at
    from lines
    group by
        file_name,
        loaded_at,
        processed_at,
        outcome,
        screening,
        unselected_event_name,
        line_excerpt
)

select * from final
order by loaded_at
