{#
    Minutes for which an endpoint that accepts requests has had due webhooks without an attempt. A
    long queue is not an error while it moves, and an open circuit breaker is reported elsewhere.
    The worst comes first, because dbt reads at most `limit` rows.
#}
{{ config(
    fail_calc='coalesce(max(overdue_minutes), 0)',
    warn_if='> ' ~ var('overdue_warn_minutes'),
    error_if='> ' ~ var('overdue_error_minutes'),
    tags=['delivery'],
    meta={'dagster': {'ref': {'name': 'webhook_deliveries'}}},
) }}

with

due as (
    select
        endpoint_id,
        count(*) as due_count,
        -- No run claims a row without a time, so it has been due since then.
        min(coalesce(next_attempt_at, recorded_at)) as due_since
    from {{ ref('webhook_deliveries') }}
    where state = '{{ webhook_states().pending }}'
    group by endpoint_id
),

endpoints as (
    select * from {{ ref('endpoint_health') }}
    where
        disabled_at is null
        -- The check nothing_is_paused reports it instead.
        and not is_paused
        and (paused_until is null or paused_until <= sysdate())
        and (breaker_state <> 'open' or next_probe_at is null or next_probe_at <= sysdate())
),

final as (
    select
        due.endpoint_id,
        due.due_count,
        due.due_since,
        endpoints.last_attempt_at,
        datediff(
            minute,
            greatest(due.due_since, coalesce(endpoints.last_attempt_at, due.due_since)),
            sysdate()
        ) as overdue_minutes
    from due
    inner join endpoints
        on due.endpoint_id = endpoints.endpoint_id
)

select * from final
order by overdue_minutes desc nulls last
