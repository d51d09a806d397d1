with

{{ replica('enterprise_enterprisecourseenrollment') }},

final as (
    select
        id as enterprise_course_enrollment_id,
        enterprise_customer_user_id,
        trim(course_id) as courserun_key
    from replica
)

select * from final
