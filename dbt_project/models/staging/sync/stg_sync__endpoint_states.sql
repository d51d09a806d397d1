with

source as (
    select * from {{ source('sync', 'endpoint_state') }}
),

final as (
    select
        endpoint_id,
        breaker_state,
        consecutive_failures,
        failing_since,
        paused_until,
        disabled_at,
        disabled_reason,
        next_probe_at,
        updated_at
    from source
)

select * from final
