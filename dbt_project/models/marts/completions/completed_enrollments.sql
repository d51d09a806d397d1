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
        passed_at,
        enterprise_customer_name,
        username,
        email,
        percent_grade,
        letter_grade,
        enrollment_mode,
        learner_country,
        enterprise_country,
        percipio_user_id,
        percipio_organization_id
    from enrollments
    where passed_at is not null
)

select * from final
