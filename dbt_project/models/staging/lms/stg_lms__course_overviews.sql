with

{{ replica('course_overviews_courseoverview') }},

final as (
    select
        trim(id) as courserun_key,
        nullif(trim(display_name), '') as course_name
    from replica
)

select * from final
