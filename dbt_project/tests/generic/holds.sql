{# A condition on one row is true for every row; NULL counts as broken. #}
{% test holds(model, condition) %}
    select *
    from {{ model }}
    where not coalesce({{ condition }}, false)
{% endtest %}
