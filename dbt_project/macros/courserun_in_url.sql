{#
    Course run in the path of a URL without percent-encoding, for the var "course_from_url"; NULL
    without one. A new-style key is recognized as any path segment: after /courses/ in the LMS,
    /learning/course/ or /course/ in the learning application, /discussions/, /ora/, /api/mobile/.
    An old-style key looks like any three segments and must follow one of the first two. A block or
    an asset belongs to the run it names; one of a CCX belongs to the CCX. /c4x/ and i4x:// name no
    run.
#}
{% macro courserun_in_url(url) -%}
    {%- set part = '[^/:+?#&[:space:]]+' -%}
    {%- set block = part ~ '[+]' ~ part ~ '[+]' ~ part -%}
    coalesce(
        regexp_substr(
            {{ url }}, '/((course|ccx)-v1:[^/+[:space:]]+[+][^/+[:space:]]+[+][^/?#&[:space:]]+)',
            1, 1, 'e', 1
        ),
        regexp_substr(
            {{ url }}, '/(courses|learning/course)/({{ part }}/{{ part }}/{{ part }})',
            1, 1, 'e', 2
        ),
        'course-v1:' || regexp_substr(
            {{ url }}, '/(block|asset)-v1:({{ block }})[+]type@', 1, 1, 'e', 2
        ),
        'ccx-v1:' || regexp_substr(
            {{ url }}, '/ccx-(block|asset)-v1:({{ block }}[+]ccx@[0-9]+)[+]type@', 1, 1, 'e', 2
        )
    )
{%- endmacro %}
