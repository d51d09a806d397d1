with

completions as (
    select * from {{ ref('int_enterprise_enrollments_screened') }}
    where passed_at is not null and ineligible_reason is null
),

users as (
    select * from {{ ref('stg_lms__users') }}
),

customers as (
    select * from {{ ref('stg_enterprise__customers') }}
),

sso_accounts as (
    select * from {{ ref('int_enterprise_sso_accounts') }}
),

final as (
    select
        completions.enterprise_customer_uuid::varchar(36) as enterprise_customer_uuid,
        completions.user_id,
        completions.courserun_key::varchar(255) as courserun_key,
        completions.passed_at,
        customers.enterprise_customer_name,
        users.username,
        users.email,
        completions.percent_grade,
        completions.letter_grade,
        completions.enrollment_mode,
        sso_accounts.country as learner_country,
        customers.country as enterprise_country,
        sso_accounts.percipio_user_id,
        sso_accounts.percipio_organization_id
    from completions
    inner join users
        on completions.user_id = users.user_id
    inner join customers
        on completions.enterprise_customer_uuid = customers.enterprise_customer_uuid
    left join sso_accounts
        on
            completions.enterprise_customer_uuid = sso_accounts.enterprise_customer_uuid
            and completions.user_id = sso_accounts.user_id
)

select * from final
