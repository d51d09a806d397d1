{#
    The history stands here by its name and is no dbt source: dbt asks the database of every source
    for its catalog, and most roles may not see this one. It is that of the whole account and slow to
    read, so it is bounded before all else.
#}
with

history as (
    {% if var('is_cost_history_read') %}
    select
        query_id,
        start_time,
        query_tag,
        credits_attributed_compute::number(18, 9) as credits_attributed_compute,
        credits_used_query_acceleration::number(18, 9) as credits_used_query_acceleration
    from snowflake.account_usage.query_attribution_history
    -- As far back as the report looks, and a day more.
    where start_time >= dateadd(day, -91, sysdate())
    {% else %}
    select
        null::varchar as query_id,
        null::timestamp_tz as start_time,
        null::varchar as query_tag,
        null::number(18, 9) as credits_attributed_compute,
        null::number(18, 9) as credits_used_query_acceleration
    where false
    {% endif %}
),

ours as (
    select
        query_id,
        convert_timezone('UTC', start_time)::timestamp_ntz as started_at,
        split_part(query_tag, ':', 2) as purpose,
        credits_attributed_compute + coalesce(credits_used_query_acceleration, 0) as credits
    from history
    where split_part(query_tag, ':', 1) = 'learning-time-webhooks'
),

final as (
    select
        query_id,
        started_at,
        case
            {% for part, purposes in cost_parts().items() %}
            {% for purpose in purposes %}
            when purpose = '{{ purpose }}' then '{{ part }}'
            {% endfor %}
            {% endfor %}
            else 'operator'
        end as part,
        credits
    from ours
)

select * from final
