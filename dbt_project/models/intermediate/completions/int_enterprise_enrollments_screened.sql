with

enrollments as (
    select * from {{ ref('int_enterprise_enrollments_with_consent') }}
),

-- Written once, at the first completion, and kept if the grade drops later: "has ever passed".
passed_grades as (
    select * from {{ ref('stg_lms__course_grades') }}
    where passed_at is not null
    qualify row_number() over (
        partition by user_id, courserun_key
        order by modified_at desc nulls last, course_grade_id desc
    ) = 1
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

flagged as (
    select
        enrollments.enterprise_customer_uuid,
        enrollments.user_id,
        enrollments.courserun_key,
        passed_grades.passed_at,
        passed_grades.percent_grade,
        passed_grades.letter_grade,
        enrollments.enrollment_mode,
        enrollments.is_enrolled,
        enrollments.enrolled_at,
        users.user_id is not null as is_user_known,
        customers.enterprise_customer_uuid is not null as is_customer_known,
        coalesce(customers.is_active, false) as is_customer_active,
        coalesce(enrollments.is_linked, false) as is_linked,
        coalesce(enrollments.is_consent_granted, false) as is_consent_granted,
        enrollments.consent_changed_at,
        enrollments.is_enrolled_ever,
        coalesce(enrollments.enrollment_mode not in ('audit', 'honor'), false)
        or coalesce(
            customers.is_audit_enrollment_enabled and customers.is_audit_data_reporting_enabled,
            false
        ) as is_audit_rule_met,
        coalesce(users.is_retired, false) as is_retired,
        enrollments.is_course_team,
        -- Determines the region of the learner's data.
        coalesce(sso_accounts.is_doubtful, false) as is_sso_account_doubtful,
        sso_accounts.country as learner_country,
        sso_accounts.percipio_user_id,
        sso_accounts.percipio_organization_id
    from enrollments
    left join passed_grades
        on
            enrollments.user_id = passed_grades.user_id
            and enrollments.courserun_key = passed_grades.courserun_key
    left join users
        on enrollments.user_id = users.user_id
    left join customers
        on enrollments.enterprise_customer_uuid = customers.enterprise_customer_uuid
    left join sso_accounts
        on
            enrollments.enterprise_customer_uuid = sso_accounts.enterprise_customer_uuid
            and enrollments.user_id = sso_accounts.user_id
),

final as (
    select
        *,
        case
            when not is_user_known then 'user_missing'
            when not is_customer_known then 'customer_missing'
            when not is_customer_active then 'customer_inactive'
            when not is_linked then 'learner_unlinked'
            when not is_consent_granted then 'consent_missing'
            when not is_enrolled_ever then 'enrollment_missing'
            {% if var('is_audit_filter_enabled') %}
            when not is_audit_rule_met then 'audit_not_reportable'
            {% endif %}
            when is_retired then 'account_retired'
            {% if var('is_course_team_filter_enabled') %}
            when is_course_team then 'course_team'
            {% endif %}
            when is_sso_account_doubtful then 'sso_account_unreadable'
        end as ineligible_reason
    from flagged
)

select * from final
