with

enrollments as (
    select * from {{ ref('int_reportable_enrollments') }}
),

final as (
    select
        enterprise_customer_uuid::varchar(36) as enterprise_customer_uuid,
        user_id,
        courserun_key::varchar(255) as courserun_key,
        course_name,
        enrolled_at,
        enrollment_mode,
        is_enrolled,
        enterprise_customer_name,
        username,
        email,
        learner_country,
        enterprise_country,
        percipio_user_id,
        percipio_organization_id
    from enrollments
    where enrolled_at is not null
)

select * from final
