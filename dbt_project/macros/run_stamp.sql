{# TIMESTAMP_NTZ in UTC at which this dbt invocation began: one value in all of its models. #}
{% macro run_stamp() -%}
    '{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}'::timestamp_ntz
{%- endmacro %}
