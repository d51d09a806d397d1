{#
    As in dbt_utils, but NULL in any of the columns fails too: one scan instead of one test per
    column and one for the key.
#}
{% test unique_combination_of_columns(model, combination_of_columns) %}
    select
        {{ combination_of_columns | join(', ') }},
        count(*) as row_count
    from {{ model }}
    group by {{ combination_of_columns | join(', ') }}
    having count(*) > 1 or {{ combination_of_columns | join(' is null or ') }} is null
{% endtest %}
