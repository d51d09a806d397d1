{# Consumers query one learner in one course run; each build sorts the table again. #}
{{ config(cluster_by=['user_id', 'courserun_key']) }}
-- depends_on: {{ ref('int_tracking_line_counts') }}
{# Its tests keep the last good numbers while the log is unreadable. #}

with

daily as (
    select * from {{ ref('int_learning_time_daily') }}
    {% if not var('emit_zero_rows') %}
    where learning_time_seconds > 0
    {% endif %}
),

enrollments as (
    select * from {{ ref('int_enterprise_enrollments_with_team') }}
    where is_enrolled_ever and not is_course_team
),

-- A learner with enrollments through two enterprises has the full time in each of them.
final as (
    select
        daily.user_id,
        daily.courserun_key::varchar(255) as courserun_key,
        enrollments.enterprise_customer_uuid::varchar(36) as enterprise_customer_uuid,
        daily.activity_date as date,
        daily.learning_time_seconds,
        daily.event_count,
        daily.session_count,
        daily.activity_kinds::varchar(1000) as activity_kinds,
        daily.first_activity_at,
        daily.last_activity_at
    from daily
    inner join enrollments
        on
            daily.user_id = enrollments.user_id
            and daily.courserun_key = enrollments.courserun_key
)

select * from final
