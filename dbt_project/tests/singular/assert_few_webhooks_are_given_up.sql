{#
    Share of dead letters, in thousandths, among the webhooks delivered or given up within a day.
    One customer whose endpoint is permanently gone causes a few; a fifth of all points to a sender
    error.
#}
{{ config(
    fail_calc='coalesce(max(dead_per_thousand), 0)',
    warn_if='> ' ~ (var('dead_letter_warn_share') * 1000) | round | int,
    error_if='> ' ~ (var('dead_letter_error_share') * 1000) | round | int,
    tags=['delivery'],
    meta={'dagster': {'ref': {'name': 'webhook_deliveries'}}},
) }}

with

ended as (
    select
        count(*) as ended_count,
        sum(iff(state = '{{ webhook_states().dead }}', 1, 0)) as dead_count
    from {{ ref('webhook_deliveries') }}
    where
        state in ('{{ webhook_states().delivered }}', '{{ webhook_states().dead }}')
        and last_attempt_at >= dateadd(hour, -24, sysdate())
),

final as (
    select
        ended_count,
        dead_count,
        -- Rounded up: 10.1 is more than 10.
        ceil(1000 * dead_count / ended_count)::number(38, 0) as dead_per_thousand
    from ended
    where ended_count >= {{ var('dead_letter_min_webhooks') }}
)

select * from final
