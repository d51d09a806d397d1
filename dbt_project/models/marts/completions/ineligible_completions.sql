with

completions as (
    select * from {{ ref('int_enterprise_enrollments_screened') }}
    where passed_at is not null and ineligible_reason is not null
),

final as (
    select
        enterprise_customer_uuid::varchar(36) as enterprise_customer_uuid,
        user_id,
        courserun_key::varchar(255) as courserun_key,
        passed_at,
        ineligible_reason
    from completions
)

select * from final
