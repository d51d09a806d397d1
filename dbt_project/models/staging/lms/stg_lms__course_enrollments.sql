with

{{ replica('student_courseenrollment') }},

final as (
    select
        id as course_enrollment_id,
        user_id,
        trim(course_id) as courserun_key,
        nullif(lower(trim(mode)), '') as enrollment_mode,
        is_active,
        created as created_at,
        is_doubtful
    from replica
)

select * from final
