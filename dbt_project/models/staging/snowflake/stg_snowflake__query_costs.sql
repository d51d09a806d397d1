{#
    The history is referenced by name and is not a dbt source: dbt queries the catalog of every
    source's database, and most roles may not read this one. It covers the whole account and is slow
    to read, so it is bounded first.
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
    -- The report's range plus one day.
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
