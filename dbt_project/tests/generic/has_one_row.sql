{# The relation has exactly one row: joining it adds columns, never rows. #}
{% test has_one_row(model) %}
    select count(*) as row_count
    from {{ model }}
    having count(*) <> 1
{% endtest %}
