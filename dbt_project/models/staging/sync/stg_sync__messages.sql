with

source as (
    select * from {{ source('sync', 'webhook_messages') }}
),

final as (
    select
        webhook_id,
        build_id,
        frozen_at,
        enrichment_outcome,
        learning_time_seconds,
        learning_time_computed_through
    from source
)

select * from final
