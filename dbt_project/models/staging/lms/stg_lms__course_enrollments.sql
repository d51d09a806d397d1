with

source as (
    select * from {{ source('lms', 'student_courseenrollment') }}
),

final as (
    select
        id::number(38, 0) as course_enrollment_id,
        user_id::number(38, 0) as user_id,
        trim(course_id::varchar) as courserun_key,
        nullif(mode::varchar, '') as enrollment_mode,
        {{ to_boolean('is_active') }} as is_active,
        created::timestamp_ntz as created_at
    from source
)

select * from final
