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
    where not coalesce(is_doubtful, false)
),

-- Any of a learner's accounts may belong to a doubtful provider.
doubtful_providers as (
    select distinct customer_users.enterprise_customer_uuid
    from customer_users
    inner join {{ ref('stg_enterprise__identity_providers') }} as providers
        on
            customer_users.enterprise_customer_uuid
            = coalesce(providers.enterprise_customer_uuid, customer_users.enterprise_customer_uuid)
    where providers.is_doubtful
),

-- The account of an unreadable learner may be anybody's.
unowned_accounts as (
    select distinct is_doubtful
    from sso_accounts
    where user_id is null and is_doubtful
),

accounts as (
    select
        customer_users.enterprise_customer_uuid,
        customer_users.user_id,
        sso_accounts.sso_account_id,
        sso_accounts.provider_id,
        sso_accounts.country,
        sso_accounts.percipio_user_id,
        sso_accounts.percipio_organization_id,
        sso_accounts.is_doubtful
    from customer_users
    inner join sso_accounts
        on customer_users.user_id = sso_accounts.user_id

    union all

    select
        customer_users.enterprise_customer_uuid,
        customer_users.user_id,
        null as sso_account_id,
        null as provider_id,
        null as country,
        null as percipio_user_id,
        null as percipio_organization_id,
        unowned_accounts.is_doubtful
    from customer_users
    cross join unowned_accounts
),

-- A learner may sign in through several providers, perhaps of several customers. The customer's
-- provider comes first, then the oldest, so the choice is deterministic.
ranked as (
    select
        accounts.*,
        doubtful_providers.enterprise_customer_uuid is not null as is_provider_doubtful,
        count(*) over (
            partition by accounts.enterprise_customer_uuid, accounts.user_id
        ) as account_count,
        row_number() over (
            partition by accounts.enterprise_customer_uuid, accounts.user_id
            order by
                iff(accounts.is_doubtful, 0, 1),
                iff(identity_providers.provider_id is not null, 0, 1),
                accounts.sso_account_id
        ) as preference
    from accounts
    left join identity_providers
        on
            accounts.enterprise_customer_uuid = identity_providers.enterprise_customer_uuid
            and accounts.provider_id = identity_providers.provider_id
    left join doubtful_providers
        on accounts.enterprise_customer_uuid = doubtful_providers.enterprise_customer_uuid
),

final as (
    select
        enterprise_customer_uuid,
        user_id,
        sso_account_id,
        country,
        percipio_user_id,
        percipio_organization_id,
        coalesce(is_doubtful, false)
        or (is_provider_doubtful and account_count > 1) as is_doubtful
    from ranked
    where preference = 1
)

select * from final
