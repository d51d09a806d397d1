{#
    Part of the product to the purposes that identify it in query tags: `learning-time-webhooks:`
    and the purpose of the session. Any other purpose is an operator's command.
#}
{% macro cost_parts() -%}
    {{ return({
        'models': ['dbt', 'prepare'],
        'delivery': ['detect', 'build', 'deliver', 'learning-time', 'check'],
        'sensor': ['sensor'],
        'report': ['report'],
        'loading': ['load-logs'],
    }) }}
{%- endmacro %}
