with

source as (
    select * from {{ source('enterprise', 'enterprise_enterprisecustomeridentityprovider') }}
),

final as (
    select
        id::number(38, 0) as identity_provider_link_id,
        {{ hyphenated_uuid('enterprise_customer_id') }} as enterprise_customer_uuid,
        provider_id::varchar as provider_id
    from source
)

select * from final
