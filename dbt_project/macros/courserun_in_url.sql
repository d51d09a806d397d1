{#
    Course run in a URL or a path without percent-encoding, for the var "course_from_url"; NULL
    without one. It stands after /courses/, in either style of keys, or is the run that a block
    after /xblock/ belongs to; a block of a CCX belongs to the CCX.
#}
{% macro courserun_in_url(url) -%}
    {%- set part = '[^/:+?#&[:space:]]+' -%}
    {%- set block = part ~ '[+]' ~ part ~ '[+]' ~ part -%}
    coalesce(
        regexp_substr(
            {{ url }}, '/courses/((course|ccx)-v1:[^/?#&[:space:]]+)', 1, 1, 'e', 1
        ),
        regexp_substr(
            {{ url }}, '/courses/({{ part }}/{{ part }}/{{ part }})', 1, 1, 'e', 1
        ),
        'course-v1:' || regexp_substr(
            {{ url }}, '/xblock/block-v1:({{ block }})[+]type@', 1, 1, 'e', 1
        ),
        'ccx-v1:' || regexp_substr(
            {{ url }}, '/xblock/ccx-block-v1:({{ block }}[+]ccx@[0-9]+)[+]type@', 1, 1, 'e', 1
        )
    )
{%- endmacro %}
