with

enterprise_enrollments as (
    select * from {{ ref('stg_enterprise__course_enrollments') }}
),

customer_users as (
    select * from {{ ref('stg_enterprise__customer_users') }}
),

erasures as (
    select * from {{ ref('stg_sync__erasures') }}
),

-- Extracts may contain several rows for one learner and course run; the newest enrollment counts,
-- and a doubtful one may be the newest.
newest_enrollments as (
    select * from {{ ref('stg_lms__course_enrollments') }}
    qualify row_number() over (
        partition by user_id, courserun_key
        order by iff(is_doubtful, 0, 1), course_enrollment_id desc
    ) = 1
),

course_enrollments as (
    select * from newest_enrollments
    where not coalesce(is_doubtful, false)
),

-- The enrollment of an unreadable account may be anybody's newest one.
unowned_courseruns as (
    select distinct courserun_key
    from newest_enrollments
    where user_id is null and is_doubtful
),

enterprise_pairs as (
    select
        customer_users.enterprise_customer_uuid,
        customer_users.user_id,
        enterprise_enrollments.courserun_key,
        max(iff(customer_users.is_linked, 1, 0)) = 1 as is_linked
    from enterprise_enrollments
    inner join customer_users
        on
            enterprise_enrollments.enterprise_customer_user_id
            = customer_users.enterprise_customer_user_id
    where
        customer_users.enterprise_customer_uuid is not null
        and customer_users.user_id is not null
        and enterprise_enrollments.courserun_key is not null
        -- Also while a replica still has the rows of an erased learner.
        and {{ person_key('customer_users.user_id') }} not in (
            select erasures.person_key from erasures
            where erasures.person_key is not null
        )
    group by
        customer_users.enterprise_customer_uuid,
        customer_users.user_id,
        enterprise_enrollments.courserun_key
),

final as (
    select
        enterprise_pairs.enterprise_customer_uuid,
        enterprise_pairs.user_id,
        enterprise_pairs.courserun_key,
        enterprise_pairs.is_linked,
        course_enrollments.course_enrollment_id is not null
        and unowned_courseruns.courserun_key is null as is_enrolled_ever,
        course_enrollments.enrollment_mode,
        coalesce(course_enrollments.is_active, false) as is_enrolled,
        course_enrollments.created_at as enrolled_at
    from enterprise_pairs
    left join course_enrollments
        on
            enterprise_pairs.user_id = course_enrollments.user_id
            and enterprise_pairs.courserun_key = course_enrollments.courserun_key
    left join unowned_courseruns
        on enterprise_pairs.courserun_key = unowned_courseruns.courserun_key
)

select * from final
