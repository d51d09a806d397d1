{#
    Share of recent webhooks, in thousandths, whose learning time has changed since. Warn only: sent
    webhooks do not change, and late lines are not an error.
#}
{{ config(
    severity='warn',
    fail_calc='coalesce(max(moved_per_thousand), 0)',
    warn_if='> ' ~ (var('drift_warn_share') * 1000) | round | int,
    tags=['delivery'],
    meta={'dagster': {'ref': {'name': 'webhook_deliveries'}}},
) }}

with

sent as (
    select * from {{ ref('webhook_deliveries') }}
    where
        event_type = 'course_completion'
        and enrichment_outcome = 'found'
        and frozen_at >= dateadd(day, -{{ var('drift_days') }}, sysdate())
),

learning_time as (
    select * from {{ ref('completion_learning_time') }}
),

compared as (
    select
        abs(learning_time.learning_time_seconds - sent.learning_time_seconds)
        > {{ drift_tolerance('sent.learning_time_seconds') }} as has_moved
    from sent
    inner join learning_time
        on
            sent.enterprise_customer_uuid = learning_time.enterprise_customer_uuid
            and sent.user_id = learning_time.user_id
            and sent.courserun_key = learning_time.courserun_key
            -- A course run that was passed again counts up to another time.
            and sent.occurred_at = learning_time.passed_at
),

final as (
    select
        count(*) as sent_count,
        sum(iff(has_moved, 1, 0)) as moved_count,
        -- Rounded up: 50.1 is more than 50.
        ceil(1000 * sum(iff(has_moved, 1, 0)) / count(*))::number(38, 0) as moved_per_thousand
    from compared
    having count(*) >= {{ var('drift_min_webhooks') }}
)

select * from final
