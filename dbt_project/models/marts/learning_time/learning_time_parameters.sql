{#
    Built after the daily model, so a run that fails earlier leaves the values that the marts still
    follow.
#}
-- depends_on: {{ ref('int_learning_time_daily') }}
with

parameters as (
    {% for parameter, value in learning_time_parameters().items() %}
    select
        '{{ parameter }}' as parameter,
        '{{ value | string | replace("\\", "\\\\") | replace("'", "''") }}' as parameter_value
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

final as (
    select
        parameter::varchar as parameter,
        parameter_value::varchar as parameter_value,
        {{ rule_version() }}::varchar as rule_version
    from parameters
)

select * from final
