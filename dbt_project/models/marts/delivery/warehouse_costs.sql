{# A view: only a report and a key test read it, and every read scans the slow history. #}
with

queries as (
    select * from {{ ref('stg_snowflake__query_costs') }}
),

final as (
    select
        started_at::date as used_date,
        part,
        sum(credits)::number(38, 9) as credits,
        count(distinct query_id)::number(38, 0) as query_count
    from queries
    group by started_at::date, part
)

select * from final
