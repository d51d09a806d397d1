with

enrollments as (
    select * from {{ ref('int_enterprise_enrollments_screened') }}
    where ineligible_reason is null
),

users as (
    select * from {{ ref('stg_lms__users') }}
),

customers as (
    select * from {{ ref('stg_enterprise__customers') }}
),

courses as (
    select * from {{ ref('stg_lms__course_overviews') }}
),

final as (
    select
        enrollments.enterprise_customer_uuid,
        enrollments.user_id,
        enrollments.courserun_key,
        courses.course_name,
        enrollments.enrolled_at,
        enrollments.enrollment_mode,
        enrollments.is_enrolled,
        enrollments.passed_at,
        enrollments.percent_grade,
        enrollments.letter_grade,
        customers.enterprise_customer_name,
        users.username,
        users.email,
        enrollments.learner_country,
        customers.country as enterprise_country,
        enrollments.percipio_user_id,
        enrollments.percipio_organization_id
    from enrollments
    inner join users
        on enrollments.user_id = users.user_id
    inner join customers
        on enrollments.enterprise_customer_uuid = customers.enterprise_customer_uuid
    left join courses
        on enrollments.courserun_key = courses.courserun_key
)

select * from final
