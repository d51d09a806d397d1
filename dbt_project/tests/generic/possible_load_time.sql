{#
    A load time is readable and between the first tracking logs and tomorrow; NULL has a separate
    test.
#}
{% test possible_load_time(model, column_name) %}
    with

    loads as (
        select
            {{ column_name }}::varchar as load_time,
            {{ load_time(column_name) }} as loaded_at
        from {{ model }}
        where {{ column_name }} is not null
    )

    select load_time from loads
    where
        loaded_at is null
        or loaded_at < {{ earliest_event() }}
        or loaded_at > dateadd(day, 1, sysdate())
{% endtest %}
