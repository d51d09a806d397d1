{#
    Completions that were passed a day before the last detection and are still not in the outbox.
    Warn only: consent, link or enrollment may have come late, and the next run takes them in.
#}
{{ config(
    severity='warn',
    tags=['delivery'],
    meta={'dagster': {'ref': {'name': 'delivery_reconciliation'}}},
) }}

with

reconciliation as (
    select * from {{ ref('delivery_reconciliation') }}
    where undetected > 0
),

detection as (
    select max(recorded_at) as last_recorded_at from {{ ref('stg_sync__webhooks') }}
),

final as (
    select
        reconciliation.enterprise_customer_uuid,
        reconciliation.passed_date,
        reconciliation.undetected
    from reconciliation
    cross join detection
    where reconciliation.passed_date < dateadd(day, -1, detection.last_recorded_at)::date
)

select * from final
