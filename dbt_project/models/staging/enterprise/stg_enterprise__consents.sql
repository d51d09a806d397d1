with

{{ replica('consent_datasharingconsent') }},

final as (
    select
        id as consent_id,
        enterprise_customer_id as enterprise_customer_uuid,
        -- MySQL compares names without regard to case.
        lower(username) as username_key,
        trim(course_id) as course_or_courserun_key,
        coalesce(granted and not is_doubtful, false) as is_granted,
        modified as modified_at,
        is_doubtful
    from replica
)

select * from final
