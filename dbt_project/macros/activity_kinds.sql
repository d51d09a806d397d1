{#
    Kinds of activity, in list order. The seed learning_event_patterns uses only these, except
    "other", which is an event without a pattern under a denylist.
#}
{% macro activity_kinds() -%}
    {{ return([
        'component', 'exam', 'forum', 'navigation', 'open_response', 'other', 'problem', 'team',
        'text', 'video',
    ]) }}
{%- endmacro %}

{# Kinds in a group, comma-separated; NULL for none. LISTAGG(DISTINCT ...) gives the same result
   and takes twice as long. #}
{% macro kinds_of_group(category) -%}
    nullif(substr(
        {%- for kind in activity_kinds() %}
        iff(max(iff({{ category }} = '{{ kind }}', 1, 0)) = 1, ',{{ kind }}', '')
        {{- ' ||' if not loop.last }}
        {%- endfor %},
        2
    ), '')
{%- endmacro %}
