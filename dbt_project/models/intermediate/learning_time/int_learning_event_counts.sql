{#
    Watermark   processed_at of int_learning_gaps: days with a row written since then are
                recounted in full.
    Invalid     an erasure removes events from any day: the next run recounts all days.
    Backfill    follows int_learning_gaps automatically.
#}
{{ config(materialized='incremental', unique_key=['activity_date']) }}

with

events as (
    select * from {{ ref('int_learning_gaps') }}
    {% if is_incremental() %}
    where {{ on_days_since_counted(ref('int_learning_gaps'), this) }}
    {% endif %}
),

counted as (
    select
        activity_date,
        first_loaded_at::date as first_loaded_date,
        count(*) as event_count,
        max(processed_at) as processed_at
    from events
    group by activity_date, first_loaded_at::date

    {% if is_incremental() and is_erased_since_counted(this) %}
    -- A day may have lost its last event, and a day without a row would keep its old count.
    union all

    select
        activity_date,
        first_loaded_date,
        0 as event_count,
        processed_at
    from {{ this }}
    {% endif %}
),

final as (
    select
        activity_date,
        first_loaded_date,
        max(processed_at) as processed_at,
        {{ run_stamp() }} as counted_at,
        sum(event_count)::number(38, 0) as event_count
    from counted
    group by activity_date, first_loaded_date
)

select * from final
order by activity_date
