with

configurations as (
    select * from {{ ref('stg_enterprise__webhook_configurations') }}
),

customers as (
    select * from {{ ref('stg_enterprise__customers') }}
),

final as (
    select
        configurations.endpoint_id,
        configurations.enterprise_customer_uuid::varchar(36) as enterprise_customer_uuid,
        customers.enterprise_customer_name,
        configurations.region::varchar(10) as region,
        configurations.url,
        configurations.token_url,
        -- The LMS defaults, for values that a replica has lost.
        coalesce(configurations.timeout_seconds, 30)::number(38, 0) as timeout_seconds,
        coalesce(configurations.retry_attempts, 3)::number(38, 0) as retry_attempts,
        coalesce(configurations.max_requests_per_minute, 100)::number(38, 0)
            as max_requests_per_minute,
        configurations.is_active,
        configurations.is_enrollment_events_enabled,
        configurations.oauth_client_id
    from configurations
    left join customers
        on configurations.enterprise_customer_uuid = customers.enterprise_customer_uuid
)

select * from final
