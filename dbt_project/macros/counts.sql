{#
    Tables of counts over int_tracking_events and int_learning_gaps, so that nothing that is built
    each half hour reads these two whole. They hold `processed_at`, as what they count, and
    `counted_at`, the stamp of the run that counted.
#}

{# Condition on processed_at: rows that a table of counts has not counted, all after an erasure. #}
{% macro processed_since_counted(counts) -%}
    {{ return(
        'true' if is_erased_since_counted(counts) else 'processed_at > ' ~ newest_stamp(counts)
    ) }}
{%- endmacro %}

{# Condition on activity_date: days with a row that a table of counts has not counted. #}
{% macro on_days_since_counted(rows, counts) -%}
    {%- if is_erased_since_counted(counts) -%}
        {{ return('true') }}
    {%- endif -%}
    {{ return(among_days(
        'activity_date',
        '(select activity_date from ' ~ rows ~ ' where processed_at > ' ~ newest_stamp(counts) ~ ')'
    )) }}
{%- endmacro %}

{#
    Whether a learner was erased since a table of counts was written: rows of old batches changed
    then, and kept their stamps. An hour earlier counts as well, for clocks that differ and for an
    erasure that ended while the counts were taken.
#}
{% macro is_erased_since_counted(counts) -%}
    {%- set erasures = erasures_relation() -%}
    {%- if not erasures -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(run_query(
        "select count(*) from " ~ erasures ~ " where finished_at >= (select dateadd(hour, -1, "
        ~ "coalesce(max(counted_at), '1970-01-01'::timestamp_ntz)) from " ~ counts ~ ")"
    ).rows[0][0] > 0) }}
{%- endmacro %}
