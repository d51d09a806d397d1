with

{{ replica('grades_persistentcoursegrade') }},

final as (
    select
        id as course_grade_id,
        user_id,
        trim(course_id) as courserun_key,
        percent_grade,
        nullif(letter_grade, '') as letter_grade,
        passed_timestamp as passed_at,
        modified as modified_at
    from replica
)

select * from final
