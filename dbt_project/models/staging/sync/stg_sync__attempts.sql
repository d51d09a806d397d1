with

source as (
    select * from {{ source('sync', 'webhook_attempts') }}
),

final as (
    select
        webhook_id,
        endpoint_id,
        attempt_number,
        started_at,
        duration_ms,
        status_code,
        outcome,
        error_kind,
        attribution,
        replay_id
    from source
)

select * from final
