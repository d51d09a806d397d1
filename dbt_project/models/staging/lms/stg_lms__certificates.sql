with

{{ replica('certificates_generatedcertificate') }},

final as (
    select
        id as certificate_id,
        user_id,
        trim(course_id) as courserun_key,
        lower(trim(status)) as status,
        nullif(lower(trim(mode)), '') as certificate_mode,
        grade as percent_grade,
        nullif(download_url, '') as download_url,
        modified_date as modified_at
    from replica
)

select * from final
