{#
    completions = delivered + awaiting + pending + held + dead + suppressed + undetected

    Other event types count their recorded events: the asset of each type compares its mart with the
    outbox.

    A completion is one that is in the replicas now or was recorded before: withdrawing consent
    later does not remove a delivered message. A day does not balance when one of its completions is
    in the outbox twice or in an unknown state, even when two such faults cancel out. Corrections
    are counted separately, on the day of their completion.
#}
{% set states = webhook_states() %}
with

completions as (
    select
        'course_completion' as event_type,
        enterprise_customer_uuid,
        user_id,
        courserun_key,
        passed_at
    from {{ ref('completed_enrollments') }}
),

webhooks as (
    select * from {{ ref('stg_sync__webhooks') }}
    where event_type <> 'course_completion_correction'
),

corrections as (
    select
        enterprise_customer_uuid,
        occurred_at::date as passed_date,
        count(*) as corrections,
        sum(iff(state = '{{ states.delivered }}', 1, 0)) as told,
        sum(iff(state in (
            '{{ states.awaiting }}', '{{ states.pending }}', '{{ states.held }}'
        ), 1, 0)) as waiting,
        sum(iff(state in ('{{ states.dead }}', '{{ states.suppressed }}'), 1, 0)) as refused
    from {{ ref('stg_sync__webhooks') }}
    where event_type = 'course_completion_correction'
    group by enterprise_customer_uuid, occurred_at::date
),

known as (
    select
        event_type,
        enterprise_customer_uuid,
        user_id,
        courserun_key,
        {% for column, state in webhook_states().items() %}
        sum(iff(state = '{{ state }}', 1, 0)) as {{ column }},
        {% endfor %}
        min(occurred_at) as occurred_at
    from webhooks
    group by event_type, enterprise_customer_uuid, user_id, courserun_key
),

matched as (
    select
        coalesce(known.event_type, completions.event_type)::varchar(40) as event_type,
        coalesce(known.enterprise_customer_uuid, completions.enterprise_customer_uuid)
            as enterprise_customer_uuid,
        -- The recorded time wins: a grade reset and passed again keeps its first day.
        coalesce(known.occurred_at, completions.passed_at)::date as passed_date,
        coalesce(known.delivered, 0) as delivered,
        coalesce(known.awaiting, 0) as awaiting,
        coalesce(known.pending, 0) as pending,
        coalesce(known.held, 0) as held,
        coalesce(known.dead, 0) as dead,
        coalesce(known.suppressed, 0) as suppressed,
        iff(known.enterprise_customer_uuid is null, 1, 0) as undetected
    from completions
    full outer join known
        on
            completions.event_type = known.event_type
            and completions.enterprise_customer_uuid = known.enterprise_customer_uuid
            and completions.user_id = known.user_id
            and completions.courserun_key = known.courserun_key
),

places as (
    select
        *,
        delivered + awaiting + pending + held + dead + suppressed + undetected as place_count
    from matched
),

summed as (
    select
        event_type,
        enterprise_customer_uuid,
        passed_date,
        sum(iff(place_count = 1, 0, 1)) = 0 as is_balanced,
        count(*)::number(38, 0) as completions,
        sum(delivered)::number(38, 0) as delivered,
        sum(awaiting)::number(38, 0) as awaiting,
        sum(pending)::number(38, 0) as pending,
        sum(held)::number(38, 0) as held,
        sum(dead)::number(38, 0) as dead,
        sum(suppressed)::number(38, 0) as suppressed,
        sum(undetected)::number(38, 0) as undetected
    from places
    group by event_type, enterprise_customer_uuid, passed_date
),

final as (
    select
        summed.event_type,
        summed.enterprise_customer_uuid,
        summed.passed_date,
        summed.completions,
        summed.delivered,
        summed.awaiting,
        summed.pending,
        summed.held,
        summed.dead,
        summed.suppressed,
        summed.undetected,
        coalesce(corrections.corrections, 0)::number(38, 0) as corrections,
        coalesce(corrections.told, 0)::number(38, 0) as corrections_told,
        coalesce(corrections.waiting, 0)::number(38, 0) as corrections_waiting,
        coalesce(corrections.refused, 0)::number(38, 0) as corrections_refused,
        summed.is_balanced and coalesce(
            corrections.corrections = corrections.told + corrections.waiting + corrections.refused,
            true
        ) as is_balanced
    from summed
    left join corrections
        on
            summed.event_type = 'course_completion'
            and summed.enterprise_customer_uuid = corrections.enterprise_customer_uuid
            and summed.passed_date = corrections.passed_date
)

select * from final
