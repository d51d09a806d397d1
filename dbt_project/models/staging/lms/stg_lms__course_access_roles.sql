with

{{ replica('student_courseaccessrole') }},

final as (
    select
        id as course_access_role_id,
        user_id,
        role,
        -- Empty means every course run of the organization, or every organization.
        nullif(lower(trim(org)), '') as organization,
        nullif(trim(course_id), '') as courserun_key,
        is_doubtful
    from replica
)

select * from final
