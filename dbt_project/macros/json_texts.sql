{#
    Text fields of JSON text, each line parsed as seldom as the engine allows.

    Snowflake parses a VARIANT once and reads each path from it. The embedded engine keeps JSON as
    text and parses it again for every path; there one call reads all of them, which makes the
    whole parse five times as fast. Both branches return the same texts: NULL for a missing field
    and for JSON null, the plain characters of a string, compact JSON of an object or a list.

        with
        read as (select {{ json_document('line') }} as document from ...),
        picked as (select {{ json_texts('document', paths) }} as fields from read)
        select {{ json_text('fields', paths, 'context.user_id') }} as user_text from picked
#}
{% macro json_document(text) -%}
    {%- if target.name == 'embedded' -%}
        case when json_valid({{ text }}) then {{ text }} end
    {%- else -%}
        try_parse_json({{ text }})
    {%- endif -%}
{%- endmacro %}

{% macro json_texts(document, paths) -%}
    {%- if target.name == 'embedded' -%}
        json_extract_string({{ document }}, ['$.{{ paths | join("', '$.") }}'])
    {%- else -%}
        {{ document }}
    {%- endif -%}
{%- endmacro %}

{% macro json_text(fields, paths, path) -%}
    {%- if path not in paths -%}
        {{ exceptions.raise_compiler_error(path ~ ' is not one of ' ~ paths) }}
    {%- endif -%}
    {%- if target.name == 'embedded' -%}
        list_extract({{ fields }}, {{ paths.index(path) + 1 }})::varchar
    {%- else -%}
        {{ fields }}:{{ path }}::varchar
    {%- endif -%}
{%- endmacro %}

{# Characters of a text that is the inside of a JSON string; NULL when it is not. #}
{% macro json_unescaped(text) -%}
    {%- if target.name == 'embedded' -%}
        json_extract_string(
            case when json_valid('"' || {{ text }} || '"') then '"' || {{ text }} || '"' end, '$'
        )
    {%- else -%}
        try_parse_json('["' || {{ text }} || '"]')[0]::varchar
    {%- endif -%}
{%- endmacro %}
