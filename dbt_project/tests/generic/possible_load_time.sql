{# A load time lies between the first tracking logs and tomorrow; NULL has a test of its own. #}
{% test possible_load_time(model, column_name) %}
    select {{ column_name }}::varchar as load_time
    from {{ model }}
    where
        {{ column_name }} < {{ earliest_event() }}
        or {{ column_name }} > dateadd(day, 1, sysdate())
{% endtest %}
