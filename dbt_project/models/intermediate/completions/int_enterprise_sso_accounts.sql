with

customer_users as (
    select distinct
        enterprise_customer_uuid,
        user_id
    from {{ ref('stg_enterprise__customer_users') }}
    where enterprise_customer_uuid is not null
),

sso_accounts as (
    select * from {{ ref('stg_lms__sso_accounts') }}
),

identity_providers as (
    select distinct
        enterprise_customer_uuid,
        provider_id
    from {{ ref('stg_enterprise__identity_providers') }}
),

-- A learner may sign in through several providers, perhaps of several customers. The customer's
-- own comes first; failing that the oldest, so that the choice never depends on chance.
ranked as (
    select
        customer_users.enterprise_customer_uuid,
        customer_users.user_id,
        sso_accounts.sso_account_id,
        sso_accounts.country,
        sso_accounts.percipio_user_id,
        sso_accounts.percipio_organization_id,
        row_number() over (
            partition by customer_users.enterprise_customer_uuid, customer_users.user_id
            order by
                iff(identity_providers.provider_id is not null, 0, 1),
                sso_accounts.sso_account_id
        ) as preference
    from customer_users
    inner join sso_accounts
        on customer_users.user_id = sso_accounts.user_id
    left join identity_providers
        on
            customer_users.enterprise_customer_uuid = identity_providers.enterprise_customer_uuid
            and sso_accounts.provider_id = identity_providers.provider_id
),

final as (
    select
        enterprise_customer_uuid,
        user_id,
        sso_account_id,
        country,
        percipio_user_id,
        percipio_organization_id
    from ranked
    where preference = 1
)

select * from final
