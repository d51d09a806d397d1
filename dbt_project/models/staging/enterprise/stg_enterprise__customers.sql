with

{{ replica('enterprise_enterprisecustomer') }},

final as (
    select
        uuid as enterprise_customer_uuid,
        name as enterprise_customer_name,
        nullif(upper(trim(country)), '') as country,
        active as is_active,
        enable_audit_enrollment as is_audit_enrollment_enabled,
        enable_audit_data_reporting as is_audit_data_reporting_enabled,
        modified as modified_at
    from replica
)

select * from final
