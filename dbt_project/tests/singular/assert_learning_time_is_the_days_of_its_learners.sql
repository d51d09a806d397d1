{#
    The mart contains each day of the daily model once per enterprise of the learner, unchanged, and
    nothing else: no join or filter added or lost time. Only days of course teams, of learners
    without an enterprise and, by default, of 0 seconds have no row.
#}
{{ config(meta={'dagster': {'ref': {'name': 'learning_time'}}}) }}

with

daily as (
    select * from {{ ref('int_learning_time_daily') }}
    {% if not var('emit_zero_rows') %}
    where learning_time_seconds > 0
    {% endif %}
),

enrollments as (
    select * from {{ ref('int_enterprise_enrollments_with_team') }}
    where is_enrolled_ever and not is_course_team
),

expected as (
    select
        enrollments.enterprise_customer_uuid,
        daily.user_id,
        daily.courserun_key,
        daily.activity_date,
        daily.learning_time_seconds,
        daily.event_count,
        daily.session_count
    from daily
    inner join enrollments
        on
            daily.user_id = enrollments.user_id
            and daily.courserun_key = enrollments.courserun_key
    group by
        enrollments.enterprise_customer_uuid,
        daily.user_id,
        daily.courserun_key,
        daily.activity_date,
        daily.learning_time_seconds,
        daily.event_count,
        daily.session_count
),

published as (
    select
        enterprise_customer_uuid,
        user_id,
        courserun_key,
        date as activity_date,
        learning_time_seconds,
        event_count,
        session_count,
        count(*) as row_count
    from {{ ref('learning_time') }}
    group by
        enterprise_customer_uuid,
        user_id,
        courserun_key,
        date,
        learning_time_seconds,
        event_count,
        session_count
),

final as (
    select
        coalesce(expected.enterprise_customer_uuid, published.enterprise_customer_uuid)
            as enterprise_customer_uuid,
        coalesce(expected.user_id, published.user_id) as user_id,
        coalesce(expected.courserun_key, published.courserun_key) as courserun_key,
        coalesce(expected.activity_date, published.activity_date) as activity_date,
        expected.learning_time_seconds as expected_seconds,
        published.learning_time_seconds as published_seconds,
        published.row_count as published_row_count
    from expected
    full outer join published
        on
            expected.enterprise_customer_uuid = published.enterprise_customer_uuid
            and expected.user_id = published.user_id
            and expected.courserun_key = published.courserun_key
            and expected.activity_date = published.activity_date
            and expected.learning_time_seconds = published.learning_time_seconds
            and expected.event_count = published.event_count
            and expected.session_count = published.session_count
    where expected.user_id is null or published.user_id is null or published.row_count > 1
)

select * from final
