with

{{ replica('channel_integration_enterprisewebhookconfiguration') }},

final as (
    select
        id as endpoint_id,
        enterprise_customer_id as enterprise_customer_uuid,
        upper(trim(region)) as region,
        webhook_url as url,
        nullif(webhook_token_url, '') as token_url,
        webhook_timeout_seconds as timeout_seconds,
        webhook_retry_attempts as retry_attempts,
        max_requests_per_minute,
        -- NULL marks an invalid row; no other endpoint replaces it.
        iff(is_doubtful, null, coalesce(active, false)) as is_active,
        coalesce(enable_enrollment_events_processing, false) as is_enrollment_events_enabled,
        nullif(client_id, '') as oauth_client_id,
        modified as modified_at
    from replica
)

select * from final
