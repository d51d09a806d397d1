{# UUID in lower case with hyphens, from any spelling; NULL for anything else. #}
{% macro hyphenated_uuid(column) -%}
    case
        when regexp_like(
            replace({{ column }}::varchar, '-', ''), '[0-9a-fA-F]{32}'
        )
            then lower(regexp_replace(
                replace({{ column }}::varchar, '-', ''),
                '(.{8})(.{4})(.{4})(.{4})(.{12})',
                '\\1-\\2-\\3-\\4-\\5'
            ))
    end
{%- endmacro %}

{# Organization of a course run key, new style (course-v1:Org+Course+Run) or old (Org/Course/Run). #}
{% macro courserun_organization(courserun_key) -%}
    split_part(split_part(replace({{ courserun_key }}, '/', '+'), ':', -1), '+', 1)
{%- endmacro %}

{# Key of the course that a run belongs to, in the form that consent records use: Org+Course. #}
{% macro course_of_courserun(courserun_key) -%}
    {{ courserun_organization(courserun_key) }}
    || '+' || split_part(split_part(replace({{ courserun_key }}, '/', '+'), ':', -1), '+', 2)
{%- endmacro %}

{# Course run from a URL, without percent-encoding. #}
{% macro decoded_courserun(text) -%}
    {%- set decoded = namespace(sql=text) -%}
    {%- for code, character in [('%3A', ':'), ('%2B', '+'), ('%2F', '/')] -%}
        {%- for spelling in [code, code | lower] -%}
            {%- set decoded.sql -%}
                replace({{ decoded.sql }}, '{{ spelling }}', '{{ character }}')
            {%- endset -%}
        {%- endfor -%}
    {%- endfor -%}
    case when position('%' in {{ text }}) > 0 then {{ decoded.sql }} else {{ text }} end
{%- endmacro %}
