{#
    The calendar of the date column. Durations are always measured in UTC; only the day a time
    belongs to depends on the var "timezone".
#}

{# DATE of a TIMESTAMP_NTZ in UTC. #}
{% macro local_date(utc) -%}
    {%- if var('timezone') == 'UTC' -%}
        {{ utc }}::date
    {%- else -%}
        convert_timezone('UTC', '{{ var("timezone") }}', {{ utc }})::date
    {%- endif -%}
{%- endmacro %}

{# TIMESTAMP_NTZ in UTC at which a DATE starts. #}
{% macro day_start(day) -%}
    {%- if var('timezone') == 'UTC' -%}
        {{ day }}::timestamp_ntz
    {%- else -%}
        convert_timezone('{{ var("timezone") }}', 'UTC', {{ day }}::timestamp_ntz)
    {%- endif -%}
{%- endmacro %}

{# Whole seconds from microseconds, rounded half up: once per figure, after all sums. #}
{% macro whole_seconds(microseconds) -%}
    round({{ microseconds }} / 1000000)::number(38, 0)
{%- endmacro %}
