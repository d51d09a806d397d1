with

source as (
    select * from {{ source('enterprise', 'enterprise_enterprisecustomer') }}
),

final as (
    select
        {{ hyphenated_uuid('uuid') }} as enterprise_customer_uuid,
        name::varchar as enterprise_customer_name,
        nullif(upper(trim(country::varchar)), '') as country,
        {{ to_boolean('active') }} as is_active,
        {{ to_boolean('enable_audit_enrollment') }} as is_audit_enrollment_enabled,
        {{ to_boolean('enable_audit_data_reporting') }} as is_audit_data_reporting_enabled,
        modified::timestamp_ntz as modified_at
    from source
)

select * from final
