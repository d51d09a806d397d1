{#
    Consent is recorded for a course run or for its course; the run's record takes precedence.

    These models form a chain in which each reads the previous one once: they are views, and
    anything read twice would be computed twice.
#}
with

enrollments as (
    select * from {{ ref('int_enterprise_enrollments_with_team') }}
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
        enrollments.is_course_team,
        coalesce(consents.is_granted, false) as is_consent_granted,
        consents.modified_at as consent_changed_at
    from enrollments
    left join users
        on enrollments.user_id = users.user_id
    left join consents
        on
            users.username_key = consents.username_key
            and (
                enrollments.enterprise_customer_uuid = consents.enterprise_customer_uuid
                -- The decision for an unreadable enterprise may be the one for this enterprise.
                or (consents.is_doubtful and consents.enterprise_customer_uuid is null)
            )
            and consents.course_or_courserun_key in (
                enrollments.courserun_key,
                {{ course_of_courserun('enrollments.courserun_key') }}
            )
    qualify row_number() over (
        partition by
            enrollments.enterprise_customer_uuid,
            enrollments.user_id,
            enrollments.courserun_key
        order by
            iff(consents.course_or_courserun_key = enrollments.courserun_key, 0, 1),
            iff(consents.is_doubtful, 0, 1),
            consents.modified_at desc nulls last,
            consents.consent_id desc nulls last
    ) = 1
)

select * from final
