with

enrollments as (
    select * from {{ ref('int_reportable_enrollments') }}
),

-- A revoked certificate has another status in the newest row.
newest_certificates as (
    select * from {{ ref('stg_lms__certificates') }}
    qualify row_number() over (
        partition by user_id, courserun_key
        order by modified_at desc nulls last, certificate_id desc nulls last
    ) = 1
),

certificates as (
    select * from newest_certificates
    where status = 'downloadable' and modified_at is not null
),

final as (
    select
        enrollments.enterprise_customer_uuid::varchar(36) as enterprise_customer_uuid,
        enrollments.user_id,
        enrollments.courserun_key::varchar(255) as courserun_key,
        enrollments.course_name,
        certificates.modified_at as awarded_at,
        coalesce(certificates.certificate_mode, 'unknown') as certificate_mode,
        certificates.percent_grade,
        {{ 'certificates.download_url' if var('are_certificate_urls_sent') else 'null::varchar' }}
            as download_url,
        enrollments.enterprise_customer_name,
        enrollments.username,
        enrollments.email,
        enrollments.learner_country,
        enrollments.enterprise_country,
        enrollments.percipio_user_id,
        enrollments.percipio_organization_id
    from enrollments
    inner join certificates
        on
            enrollments.user_id = certificates.user_id
            and enrollments.courserun_key = certificates.courserun_key
)

select * from final
