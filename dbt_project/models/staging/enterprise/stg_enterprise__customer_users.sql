with

{{ replica('enterprise_enterprisecustomeruser') }},

final as (
    select
        id as enterprise_customer_user_id,
        enterprise_customer_id as enterprise_customer_uuid,
        user_id,
        linked as is_linked
    from replica
)

select * from final
