{#
    The number last delivered for a completion, and whether a correction follows.

    The number has settled when the log is complete (computed_through) for the settling time after
    the newest line that affects it was loaded. This depends on the lines alone: not on their order,
    the number of builds or a full refresh.
#}
{% set states = webhook_states() %}
with

webhooks as (
    select * from {{ ref('stg_sync__webhooks') }}
),

messages as (
    select * from {{ ref('stg_sync__messages') }}
    where enrichment_outcome = 'found'
),

learning_time as (
    select * from {{ ref('completion_learning_time') }}
    where event_count > 0
),

completions as (
    select * from webhooks
    where event_type = 'course_completion' and state = '{{ states.delivered }}'
),

recorded as (
    select
        corrects_webhook_id,
        max(correction_number) as last_number,
        max(coalesce(delivered_at, recorded_at)) as last_at,
        max(iff(state in (
            '{{ states.awaiting }}', '{{ states.pending }}', '{{ states.held }}'
        ), correction_number, null)) as open_number,
        sum(iff(state = '{{ states.dead }}', 1, 0)) as dead_count
    from webhooks
    where event_type = 'course_completion_correction'
    group by corrects_webhook_id
),

-- The newest correction that was delivered, else the completion itself.
told as (
    select
        coalesce(webhooks.corrects_webhook_id, webhooks.webhook_id) as corrects_webhook_id,
        coalesce(webhooks.correction_number, 0)::number(38, 0) as correction_number,
        messages.learning_time_seconds
    from webhooks
    inner join messages
        on
            webhooks.webhook_id = messages.webhook_id
            and webhooks.build_id = messages.build_id
    where
        webhooks.event_type in ('course_completion', 'course_completion_correction')
        and webhooks.state = '{{ states.delivered }}'
    qualify row_number() over (
        partition by coalesce(webhooks.corrects_webhook_id, webhooks.webhook_id)
        order by webhooks.correction_number desc nulls last
    ) = 1
),

compared as (
    select
        learning_time.*,
        completions.webhook_id as corrects_webhook_id,
        completions.endpoint_id,
        told.correction_number as told_correction_number,
        told.learning_time_seconds as told_learning_time_seconds,
        recorded.last_at,
        recorded.open_number,
        coalesce(recorded.dead_count, 0) as dead_count,
        coalesce(recorded.open_number, recorded.last_number + 1, 1)::number(38, 0)
            as correction_number,
        {{ drift_tolerance('told.learning_time_seconds') }} as tolerance_seconds
    from completions
    inner join told
        on completions.webhook_id = told.corrects_webhook_id
    inner join learning_time
        on
            completions.enterprise_customer_uuid = learning_time.enterprise_customer_uuid
            and completions.user_id = learning_time.user_id
            and completions.courserun_key = learning_time.courserun_key
            -- A course run that was passed again counts up to another time.
            and completions.occurred_at = learning_time.passed_at
    left join recorded
        on completions.webhook_id = recorded.corrects_webhook_id
),

decided as (
    select
        *,
        case
            when open_number is not null then 'recorded'
            when dead_count > 0 then 'given_up'
            when abs(learning_time_seconds - told_learning_time_seconds) <= tolerance_seconds
                then 'within_tolerance'
            when correction_number > {{ var('corrections_at_most') | int }} then 'used_up'
            when
                dateadd(hour, {{ var('correction_settling_hours') | int }}, last_loaded_at)
                <= computed_through
                then iff(last_at > dateadd(day, -1, sysdate()), 'resting', 'due')
            else 'settling'
        end as correction_status
    from compared
),

final as (
    select
        enterprise_customer_uuid,
        user_id,
        courserun_key,
        passed_at,
        endpoint_id,
        corrects_webhook_id,
        correction_number,
        told_correction_number,
        told_learning_time_seconds,
        learning_time_seconds,
        tolerance_seconds,
        last_loaded_at,
        computed_through,
        correction_status::varchar(16) as correction_status
    from decided
)

select * from final
