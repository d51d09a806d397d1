{#
    Endpoints with held webhooks that were recorded more than `held_warn_hours` ago. Warn only: the
    cause is a setting, and every run retries. Disabled endpoints have their own check; webhooks
    that may no longer be reported need no fix.
#}
{{ config(
    severity='warn',
    tags=['delivery'],
    meta={'dagster': {'ref': {'name': 'webhook_deliveries'}}},
) }}

with

final as (
    select
        enterprise_customer_uuid,
        endpoint_id,
        state_reason,
        count(*) as held_count,
        min(recorded_at) as held_since
    from {{ ref('webhook_deliveries') }}
    where
        state = '{{ webhook_states().held }}'
        and (
            state_reason is null
            or state_reason not in (
                '{{ webhook_reasons().endpoint_disabled }}',
                '{{ webhook_reasons().no_longer_reportable }}'
            )
        )
        and recorded_at < dateadd(hour, -{{ var('held_warn_hours') }}, sysdate())
    group by enterprise_customer_uuid, endpoint_id, state_reason
)

select * from final
