{#
    Batches loaded within the lookback whose number of lines differs from the number processed. A
    SELECT of file_name and loaded_at. The raw lines are only counted, never read.
#}
{% macro changed_batches(arrived, processed) %}
    {%- set newest = run_query(
        "select " ~ timestamp_text('max(loaded_at)') ~ " from " ~ processed
    ).rows[0][0] -%}
    {%- set within_lookback = "loaded_at > dateadd(day, -" ~ var('late_arrival_days') ~ ", '" ~ newest
        ~ "'::timestamp_ntz)" if newest else 'true' -%}
    with

    arrived_batches as (
        select
            file_name,
            loaded_at,
            count(*) as line_count
        from {{ arrived }}
        where {{ within_lookback }}
        group by file_name, loaded_at
    ),

    processed_batches as (
        select
            file_name,
            loaded_at,
            sum(iff(is_line_start, 1, 0)) as line_count
        from {{ processed }}
        where {{ within_lookback }}
        group by file_name, loaded_at
    )

    select
        arrived_batches.file_name,
        arrived_batches.loaded_at
    from arrived_batches
    left join processed_batches
        on
            arrived_batches.file_name = processed_batches.file_name
            and arrived_batches.loaded_at = processed_batches.loaded_at
    where coalesce(processed_batches.line_count, 0) <> arrived_batches.line_count
{% endmacro %}

{#
    Condition on loaded_at, with literals, that holds for all of these batches: with only a join,
    both engines parse every line ever loaded before they drop all but the new ones.
#}
{% macro within_batches(batches) %}
    {%- set bounds = run_query(
        "select " ~ timestamp_text('min(loaded_at)') ~ ", " ~ timestamp_text('max(loaded_at)')
        ~ " from (" ~ batches ~ ")"
    ) -%}
    {%- if bounds.rows[0][0] is none -%}
        false
    {%- else -%}
        loaded_at >= '{{ bounds.rows[0][0] }}'::timestamp_ntz
        -- Plus one: the literal has microseconds, the column may have nanoseconds.
        and loaded_at < dateadd('microsecond', 1, '{{ bounds.rows[0][1] }}'::timestamp_ntz)
    {%- endif -%}
{% endmacro %}

{#
    Last clause of a model whose rows are written in the order in which increments read them, by
    load time or by day: Snowflake fills micro-partitions in insertion order.
#}
{% macro written_in_order_of(column) -%}
    {{
        embedded__written_in_order_of(column) if is_embedded()
        else snowflake__written_in_order_of(column)
    }}
{%- endmacro %}

{% macro snowflake__written_in_order_of(column) -%}
    order by {{ column }}
{%- endmacro %}
