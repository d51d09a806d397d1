{#
    Completions from a day or more before the last detection that are still not in the outbox. Warn
    only: consent, link or enrollment may have arrived late, and the next run records them.
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
