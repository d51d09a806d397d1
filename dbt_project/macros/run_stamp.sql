{# TIMESTAMP_NTZ in UTC at which this dbt invocation started: the same in all of its models. #}
{% macro run_stamp() -%}
    '{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}'::timestamp_ntz
{%- endmacro %}
