{#
    Every column of the grain is filled and no two rows share it: one scan instead of one test per
    column and one for the key.
#}
{% test unique_grain(model, columns) %}
    select
        {{ columns | join(', ') }},
        count(*) as row_count
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1 or {{ columns | join(' is null or ') }} is null
{% endtest %}
