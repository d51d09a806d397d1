with

source as (
    select * from {{ source('enterprise', 'enterprise_enterprisecustomeruser') }}
),

final as (
    select
        id::number(38, 0) as enterprise_customer_user_id,
        {{ hyphenated_uuid('enterprise_customer_id') }} as enterprise_customer_uuid,
        user_id::number(38, 0) as user_id,
        {{ to_boolean('linked') }} as is_linked
    from source
)

select * from final
