{# The newest moment in a column is at most so many hours old; passes while there is none. #}
{% test is_recent(model, column_name, hours, is_load_time=false) %}
    {%- set at = load_time(column_name) if is_load_time else column_name %}
    select max({{ at }}) as newest
    from {{ model }}
    having max({{ at }}) < dateadd(hour, -{{ hours }}, sysdate())
{% endtest %}
