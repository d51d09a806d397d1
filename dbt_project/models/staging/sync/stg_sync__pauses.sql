with

source as (
    select * from {{ source('sync', 'pauses') }}
),

final as (
    select
        pause_id,
        enterprise_customer_uuid,
        endpoint_id,
        reason,
        paused_at,
        paused_by,
        coalesce(resumed_at, until_at) as ends_at
    from source
)

select * from final
