{#
    As in dbt_utils: the newest time in a column is at most an interval ago. Passes when there is
    none. `is_load_time` is for the load time of raw lines, whose column may have another type.
#}
{% test recency(model, field, datepart, interval, is_load_time=false) %}
    {%- set at = load_time(field) if is_load_time else field %}
    select max({{ at }}) as newest
    from {{ model }}
    having max({{ at }}) < dateadd({{ datepart }}, -{{ interval }}, sysdate())
{% endtest %}
