with

source as (
    select * from {{ source('enterprise', 'enterprise_enterprisecourseenrollment') }}
),

final as (
    select
        id::number(38, 0) as enterprise_course_enrollment_id,
        enterprise_customer_user_id::number(38, 0) as enterprise_customer_user_id,
        trim(course_id::varchar) as courserun_key
    from source
)

select * from final
