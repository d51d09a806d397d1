with

source as (
    select * from {{ source('enterprise', 'consent_datasharingconsent') }}
),

final as (
    select
        id::number(38, 0) as consent_id,
        {{ hyphenated_uuid('enterprise_customer_id') }} as enterprise_customer_uuid,
        -- MySQL compares names without regard to case.
        lower(username::varchar) as username_key,
        trim(course_id::varchar) as course_or_courserun_key,
        coalesce({{ to_boolean('granted') }}, false) as is_granted,
        modified::timestamp_ntz as modified_at
    from source
)

select * from final
