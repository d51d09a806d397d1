{#
    Count tables over int_tracking_events and int_learning_gaps, so half-hourly builds need not read
    these two in full. They contain `processed_at` of the counted rows and `counted_at`, the stamp
    of the run that counted them.
#}

{# Condition on processed_at: rows not yet in a count table; all rows after an erasure. #}
{% macro processed_since_counted(counts) -%}
    {{ return(
        'true' if is_erased_since_counted(counts) else 'processed_at > ' ~ newest_stamp(counts)
    ) }}
{%- endmacro %}

{# Condition on activity_date: days with a row not yet in a count table. #}
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
    Whether a learner was erased since a count table was written: the erasure changed rows of old
    batches without changing their stamps. One extra hour covers clock differences and an erasure
    that finished during the count.
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
