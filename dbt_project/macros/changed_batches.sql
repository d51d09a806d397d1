{#
    Batches, of those loaded within the lookback, whose number of lines is not the processed one.
    A SELECT of file_name and loaded_at. The raw lines are only counted, never read.
#}
{% macro changed_batches(arrived, processed) %}
    with

    lookback as (
        select dateadd(day, -{{ var('late_arrival_days') }}, max(loaded_at)) as loaded_after
        from {{ processed }}
    ),

    arrived_batches as (
        select
            arrived.file_name,
            arrived.loaded_at,
            count(*) as line_count
        from {{ arrived }} as arrived
        cross join lookback
        where
            lookback.loaded_after is null
            or arrived.loaded_at > lookback.loaded_after
        group by arrived.file_name, arrived.loaded_at
    ),

    processed_batches as (
        select
            processed.file_name,
            processed.loaded_at,
            sum(iff(processed.is_line_start, 1, 0)) as line_count
        from {{ processed }} as processed
        cross join lookback
        where processed.loaded_at > lookback.loaded_after
        group by processed.file_name, processed.loaded_at
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
    Condition on loaded_at that holds for all of these batches, as literals: with a join alone both
    engines parse every line ever loaded before they drop all but the new ones.
#}
{% macro within_batches(batches) %}
    {%- set bounds = run_query(
        "select to_varchar(min(loaded_at), 'YYYY-MM-DD HH24:MI:SS.FF6'), "
        ~ "to_varchar(max(loaded_at), 'YYYY-MM-DD HH24:MI:SS.FF6') from (" ~ batches ~ ")"
    ) -%}
    {%- if bounds.rows[0][0] is none -%}
        false
    {%- else -%}
        loaded_at >= '{{ bounds.rows[0][0] }}'::timestamp_ntz
        -- One more: the literal has microseconds, the column may have nanoseconds.
        and loaded_at < dateadd('microsecond', 1, '{{ bounds.rows[0][1] }}'::timestamp_ntz)
    {%- endif -%}
{% endmacro %}
