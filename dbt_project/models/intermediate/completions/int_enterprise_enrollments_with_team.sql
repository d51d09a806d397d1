with

enrollments as (
    select * from {{ ref('int_enterprise_enrollments') }}
),

pairs as (
    select distinct
        user_id,
        courserun_key,
        lower({{ courserun_organization('courserun_key') }}) as organization
    from enrollments
),

roles as (
    select * from {{ ref('stg_lms__course_access_roles') }}
    where role in ({{ course_team_roles() }})
),

-- The role of an unreadable account may be anybody's.
unowned_roles as (
    select * from roles
    where user_id is null and is_doubtful
),

users as (
    select * from {{ ref('stg_lms__users') }}
),

-- One branch per scope of a role, each an equality join: an OR of the three would compare every
-- enrollment with every role.
members as (
    select
        pairs.user_id,
        pairs.courserun_key
    from pairs
    inner join roles
        on
            pairs.user_id = roles.user_id
            and pairs.courserun_key = roles.courserun_key

    union all

    select
        pairs.user_id,
        pairs.courserun_key
    from pairs
    inner join roles
        on
            pairs.user_id = roles.user_id
            and pairs.organization = roles.organization
    where roles.courserun_key is null

    union all

    select
        pairs.user_id,
        pairs.courserun_key
    from pairs
    inner join roles
        on pairs.user_id = roles.user_id
    where roles.courserun_key is null and roles.organization is null

    union all

    select
        pairs.user_id,
        pairs.courserun_key
    from pairs
    inner join users
        on pairs.user_id = users.user_id
    where users.is_staff or users.is_superuser

    union all

    select
        pairs.user_id,
        pairs.courserun_key
    from pairs
    inner join unowned_roles
        on
            coalesce(unowned_roles.courserun_key, pairs.courserun_key)
            = pairs.courserun_key
            and (
                unowned_roles.courserun_key is not null
                or coalesce(unowned_roles.organization, pairs.organization)
                = pairs.organization
            )
),

course_team as (
    select distinct
        user_id,
        courserun_key
    from members
),

final as (
    select
        enrollments.enterprise_customer_uuid,
        enrollments.user_id,
        enrollments.courserun_key,
        enrollments.is_linked,
        enrollments.is_enrolled_ever,
        enrollments.enrollment_mode,
        enrollments.is_enrolled,
        enrollments.enrolled_at,
        course_team.user_id is not null as is_course_team
    from enrollments
    left join course_team
        on
            enrollments.user_id = course_team.user_id
            and enrollments.courserun_key = course_team.courserun_key
)

select * from final
