with

enterprise_pairs as (
    select distinct
        user_id,
        courserun_key,
        lower({{ courserun_organization('courserun_key') }}) as organization
    from {{ ref('int_enterprise_enrollments') }}
),

roles as (
    select * from {{ ref('stg_lms__course_access_roles') }}
    where role in ({{ course_team_roles() }})
),

-- The role of an account that cannot be read may be anybody's.
unowned_roles as (
    select * from roles
    where user_id is null and is_doubtful
),

users as (
    select * from {{ ref('stg_lms__users') }}
),

-- One branch per reach of a role, each an equality join: an OR of the three would compare every
-- enrollment with every role.
members as (
    select
        enterprise_pairs.user_id,
        enterprise_pairs.courserun_key
    from enterprise_pairs
    inner join roles
        on
            enterprise_pairs.user_id = roles.user_id
            and enterprise_pairs.courserun_key = roles.courserun_key

    union all

    select
        enterprise_pairs.user_id,
        enterprise_pairs.courserun_key
    from enterprise_pairs
    inner join roles
        on
            enterprise_pairs.user_id = roles.user_id
            and enterprise_pairs.organization = roles.organization
    where roles.courserun_key is null

    union all

    select
        enterprise_pairs.user_id,
        enterprise_pairs.courserun_key
    from enterprise_pairs
    inner join roles
        on enterprise_pairs.user_id = roles.user_id
    where roles.courserun_key is null and roles.organization is null

    union all

    select
        enterprise_pairs.user_id,
        enterprise_pairs.courserun_key
    from enterprise_pairs
    inner join users
        on enterprise_pairs.user_id = users.user_id
    where users.is_staff or users.is_superuser

    union all

    select
        enterprise_pairs.user_id,
        enterprise_pairs.courserun_key
    from enterprise_pairs
    inner join unowned_roles
        on
            coalesce(unowned_roles.courserun_key, enterprise_pairs.courserun_key)
            = enterprise_pairs.courserun_key
            and (
                unowned_roles.courserun_key is not null
                or coalesce(unowned_roles.organization, enterprise_pairs.organization)
                = enterprise_pairs.organization
            )
),

final as (
    select distinct
        user_id,
        courserun_key
    from members
)

select * from final
