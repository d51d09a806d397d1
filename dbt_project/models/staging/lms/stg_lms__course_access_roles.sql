with

source as (
    select * from {{ source('lms', 'student_courseaccessrole') }}
),

final as (
    select
        id::number(38, 0) as course_access_role_id,
        user_id::number(38, 0) as user_id,
        role::varchar as role,
        -- Empty means every course run of the organisation, or every organisation.
        nullif(lower(trim(org::varchar)), '') as organization,
        nullif(trim(course_id::varchar), '') as courserun_key
    from source
)

select * from final
