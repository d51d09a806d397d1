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
        final_status_codes,
        updated_at
    from source
    -- Rows are added by hand: of several for one endpoint the newest counts.
    qualify row_number() over (
        partition by endpoint_id
        order by
            updated_at desc nulls last,
            payload_format asc,
            is_learning_time_enabled asc,
            is_eu_fallback_allowed asc,
            final_status_codes asc
    ) = 1
)

select * from final
