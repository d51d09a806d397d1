with

source as (
    select * from {{ source('sync', 'webhook_outbox') }}
),

final as (
    select
        webhook_id,
        event_type,
        enterprise_customer_uuid,
        user_id,
        courserun_key,
        occurred_at,
        recorded_at,
        state,
        state_reason,
        region,
        endpoint_id,
        payload_format,
        build_id,
        corrects_webhook_id,
        correction_number,
        attempt_count,
        next_attempt_at,
        delivered_at,
        replay_id,
        body_removed_at,
        updated_at
    from source
)

select * from final
