{# Consent is recorded for a course run or for its course; the run's own record decides. #}
with

enterprise_enrollments as (
    select
        enterprise_customer_uuid,
        user_id,
        courserun_key,
        {{ course_of_courserun('courserun_key') }} as course_key
    from {{ ref('int_enterprise_enrollments') }}
),

users as (
    select
        user_id,
        lower(username) as username_key
    from {{ ref('stg_lms__users') }}
),

consents as (
    select * from {{ ref('stg_enterprise__consents') }}
),

candidates as (
    select
        enterprise_enrollments.enterprise_customer_uuid,
        enterprise_enrollments.user_id,
        enterprise_enrollments.courserun_key,
        consents.is_granted,
        row_number() over (
            partition by
                enterprise_enrollments.enterprise_customer_uuid,
                enterprise_enrollments.user_id,
                enterprise_enrollments.courserun_key
            order by
                iff(
                    consents.course_or_courserun_key = enterprise_enrollments.courserun_key, 0, 1
                ),
                iff(consents.is_doubtful, 0, 1),
                consents.modified_at desc nulls last,
                consents.consent_id desc
        ) as preference
    from enterprise_enrollments
    inner join users
        on enterprise_enrollments.user_id = users.user_id
    inner join consents
        on
            users.username_key = consents.username_key
            and (
                enterprise_enrollments.enterprise_customer_uuid = consents.enterprise_customer_uuid
                -- A decision towards nobody knows whom may be one towards this enterprise.
                or (consents.is_doubtful and consents.enterprise_customer_uuid is null)
            )
    where
        consents.course_or_courserun_key
        in (enterprise_enrollments.courserun_key, enterprise_enrollments.course_key)
),

final as (
    select
        enterprise_customer_uuid,
        user_id,
        courserun_key,
        is_granted
    from candidates
    where preference = 1
)

select * from final
