with

source as (
    select * from {{ source('lms', 'grades_persistentcoursegrade') }}
),

final as (
    select
        id::number(38, 0) as course_grade_id,
        user_id::number(38, 0) as user_id,
        trim(course_id::varchar) as courserun_key,
        percent_grade::float as percent_grade,
        nullif(letter_grade::varchar, '') as letter_grade,
        passed_timestamp::timestamp_ntz as passed_at,
        modified::timestamp_ntz as modified_at
    from source
)

select * from final
