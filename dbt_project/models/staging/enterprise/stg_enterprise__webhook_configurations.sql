with

source as (
    select * from {{ source('enterprise', 'channel_integration_enterprisewebhookconfiguration') }}
),

final as (
    select
        id::number(38, 0) as endpoint_id,
        {{ hyphenated_uuid('enterprise_customer_id') }} as enterprise_customer_uuid,
        upper(region::varchar) as region,
        webhook_url::varchar as url,
        nullif(webhook_token_url::varchar, '') as token_url,
        webhook_timeout_seconds::number(38, 0) as timeout_seconds,
        webhook_retry_attempts::number(38, 0) as retry_attempts,
        max_requests_per_minute::number(38, 0) as max_requests_per_minute,
        coalesce({{ to_boolean('active') }}, false) as is_active,
        coalesce({{ to_boolean('enable_enrollment_events_processing') }}, false)
            as is_enrollment_events_enabled,
        nullif(client_id::varchar, '') as oauth_client_id,
        modified::timestamp_ntz as modified_at
    from source
)

select * from final
