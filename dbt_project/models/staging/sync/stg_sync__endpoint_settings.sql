with

source as (
    select * from {{ source('sync', 'endpoint_settings') }}
),

final as (
    select
        endpoint_id,
        payload_format,
        is_learning_time_enabled,
        is_eu_fallback_allowed,
        updated_at
    from source
)

select * from final
