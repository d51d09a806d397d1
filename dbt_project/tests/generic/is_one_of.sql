{# A text is one of a list. dbt's own accepted_values lets NULL through. #}
{% test is_one_of(model, column_name, values) %}
    select
        {{ column_name }},
        count(*) as row_count
    from {{ model }}
    where not coalesce({{ column_name }} in ('{{ values | join("', '") }}'), false)
    group by {{ column_name }}
{% endtest %}
