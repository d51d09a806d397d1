{% set states = webhook_states() %}
{% set waiting = "('" ~ states.awaiting ~ "', '" ~ states.pending ~ "')" %}
with

endpoints as (
    select * from {{ ref('webhook_endpoints') }}
),

states as (
    select * from {{ ref('stg_sync__endpoint_states') }}
),

pauses as (
    select * from {{ ref('stg_sync__pauses') }}
),

paused as (
    -- A pause without an endpoint or a customer covers all of them.
    select distinct endpoints.endpoint_id
    from endpoints
    inner join pauses
        on
            coalesce(pauses.endpoint_id, endpoints.endpoint_id) = endpoints.endpoint_id
            and coalesce(pauses.enterprise_customer_uuid, endpoints.enterprise_customer_uuid)
            = endpoints.enterprise_customer_uuid
    where pauses.ends_at is null or pauses.ends_at > sysdate()
),

webhooks as (
    select
        endpoint_id,
        sum(iff(state = '{{ states.delivered }}', 1, 0)) as delivered_count,
        sum(iff(state in {{ waiting }}, 1, 0)) as open_count,
        sum(iff(state = '{{ states.held }}', 1, 0)) as held_count,
        sum(iff(state = '{{ states.dead }}', 1, 0)) as dead_count,
        min(
            iff(state in {{ waiting }} or state = '{{ states.held }}', recorded_at, null)
        ) as oldest_open_at,
        max(delivered_at) as last_delivered_at
    from {{ ref('stg_sync__webhooks') }}
    where endpoint_id is not null
    group by endpoint_id
),

attempts as (
    select
        endpoint_id,
        count(*) as attempt_count,
        sum(iff(outcome = '{{ states.delivered }}', 1, 0)) as successful_attempt_count,
        max(started_at) as last_attempt_at
    from {{ ref('stg_sync__attempts') }}
    group by endpoint_id
),

final as (
    select
        endpoints.endpoint_id,
        endpoints.enterprise_customer_uuid,
        endpoints.region,
        endpoints.is_active,
        paused.endpoint_id is not null as is_paused,
        coalesce(states.breaker_state, 'closed')::varchar(16) as breaker_state,
        coalesce(states.consecutive_failures, 0)::number(38, 0) as consecutive_failures,
        states.failing_since,
        states.paused_until,
        states.disabled_at,
        states.disabled_reason,
        states.next_probe_at,
        coalesce(webhooks.delivered_count, 0)::number(38, 0) as delivered_count,
        coalesce(webhooks.open_count, 0)::number(38, 0) as open_count,
        coalesce(webhooks.held_count, 0)::number(38, 0) as held_count,
        coalesce(webhooks.dead_count, 0)::number(38, 0) as dead_count,
        webhooks.oldest_open_at,
        webhooks.last_delivered_at,
        coalesce(attempts.attempt_count, 0)::number(38, 0) as attempt_count,
        coalesce(attempts.successful_attempt_count, 0)::number(38, 0) as successful_attempt_count,
        attempts.last_attempt_at
    from endpoints
    left join states
        on endpoints.endpoint_id = states.endpoint_id
    left join paused
        on endpoints.endpoint_id = paused.endpoint_id
    left join webhooks
        on endpoints.endpoint_id = webhooks.endpoint_id
    left join attempts
        on endpoints.endpoint_id = attempts.endpoint_id
)

select * from final
