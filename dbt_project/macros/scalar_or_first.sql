{# Text of a JSON field that is a scalar or a list with one element; NULL when empty. #}
{% macro scalar_or_first(document, field) -%}
    nullif(trim(case
        when left(ltrim({{ document }}:{{ field }}::varchar), 1) = '['
            then {{ document }}:{{ field }}[0]::varchar
        else {{ document }}:{{ field }}::varchar
    end), '')
{%- endmacro %}
