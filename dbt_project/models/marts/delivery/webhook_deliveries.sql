with

webhooks as (
    select * from {{ ref('stg_sync__webhooks') }}
),

messages as (
    select * from {{ ref('stg_sync__messages') }}
),

last_attempts as (
    select * from {{ ref('stg_sync__attempts') }}
    qualify row_number() over (
        -- Not by number: a replayed dead letter restarts its count.
        partition by webhook_id order by started_at desc, attempt_number desc
    ) = 1
),

final as (
    select
        webhooks.webhook_id,
        webhooks.event_type,
        webhooks.enterprise_customer_uuid,
        webhooks.user_id,
        webhooks.courserun_key,
        webhooks.occurred_at,
        webhooks.recorded_at,
        webhooks.state,
        webhooks.state_reason,
        webhooks.region,
        webhooks.endpoint_id,
        webhooks.payload_format,
        messages.enrichment_outcome,
        messages.learning_time_seconds,
        messages.learning_time_computed_through,
        messages.frozen_at,
        webhooks.attempt_count,
        last_attempts.started_at as last_attempt_at,
        last_attempts.outcome as last_outcome,
        last_attempts.status_code as last_status_code,
        last_attempts.error_kind as last_error_kind,
        last_attempts.attribution as last_attribution,
        last_attempts.duration_ms as last_duration_ms,
        webhooks.next_attempt_at,
        webhooks.delivered_at,
        datediff(second, webhooks.recorded_at, webhooks.delivered_at)::number(38, 0)
            as delivery_seconds
    from webhooks
    left join messages
        on
            webhooks.webhook_id = messages.webhook_id
            and webhooks.build_id = messages.build_id
    left join last_attempts
        on webhooks.webhook_id = last_attempts.webhook_id
)

select * from final
