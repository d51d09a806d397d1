{# The newest moment in a column is at most so many hours old; passes while there is none. #}
{% test is_recent(model, column_name, hours) %}
    select max({{ column_name }}) as newest
    from {{ model }}
    having max({{ column_name }}) < dateadd(hour, -{{ hours }}, sysdate())
{% endtest %}
