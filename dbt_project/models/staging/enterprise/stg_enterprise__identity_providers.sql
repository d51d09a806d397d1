with

{{ replica('enterprise_enterprisecustomeridentityprovider') }},

final as (
    select
        id as identity_provider_link_id,
        enterprise_customer_id as enterprise_customer_uuid,
        provider_id,
        is_doubtful
    from replica
)

select * from final
