{# Roles whose holders prepare or run a course; beta testers and forum roles are learners. #}
{% macro course_team_roles() -%}
    {{ return("'staff', 'limited_staff', 'instructor', 'data_researcher'") }}
{%- endmacro %}
