{#
    Kinds of activity, in the order of a list of them. The seed learning_event_patterns uses these
    and no others; "other" is an event without a pattern, under a denylist.
#}
{% macro activity_kinds() -%}
    {{ return([
        'component', 'exam', 'forum', 'navigation', 'open_response', 'other', 'problem', 'team',
        'text', 'video',
    ]) }}
{%- endmacro %}

{# Those of the rows of a group, with a comma between them; NULL for none. LISTAGG(DISTINCT ...)
   says the same, and takes twice as long. #}
{% macro kinds_of_group(category) -%}
    nullif(substr(
        {%- for kind in activity_kinds() %}
        iff(max(iff({{ category }} = '{{ kind }}', 1, 0)) = 1, ',{{ kind }}', '')
        {{- ' ||' if not loop.last }}
        {%- endfor %},
        2
    ), '')
{%- endmacro %}
