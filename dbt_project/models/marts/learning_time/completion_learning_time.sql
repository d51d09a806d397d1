with

completions as (
    select * from {{ ref('completed_enrollments') }}
),

learning_time as (
    select * from {{ ref('int_learning_time_to_completion') }}
),

watermark as (
    select * from {{ ref('learning_time_watermark') }}
),

final as (
    select
        completions.enterprise_customer_uuid,
        completions.user_id,
        completions.courserun_key,
        completions.passed_at,
        {{ local_date('completions.passed_at') }} as completion_date,
        coalesce(learning_time.learning_time_seconds, 0)::number(38, 0) as learning_time_seconds,
        coalesce(learning_time.event_count, 0)::number(38, 0) as event_count,
        learning_time.first_activity_at,
        learning_time.last_activity_at,
        learning_time.last_loaded_at,
        watermark.computed_through
    from completions
    cross join watermark
    left join learning_time
        on
            completions.user_id = learning_time.user_id
            and completions.courserun_key = learning_time.courserun_key
            and completions.passed_at = learning_time.passed_at
)

select * from final
