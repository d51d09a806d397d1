{#
    Text fields of JSON text, each line parsed as seldom as the engine allows. Snowflake parses a
    VARIANT once and reads each path from it; the embedded engine reads all paths in one call, which
    makes the whole parse five times as fast.

        with
        read as (select {{ json_document('line') }} as document from ...),
        picked as (select {{ json_texts('document', paths) }} as fields from read)
        select {{ json_text('fields', paths, 'context.user_id') }} as user_text from picked
#}
{% macro json_document(text) -%}
    {{ embedded__json_document(text) if is_embedded() else snowflake__json_document(text) }}
{%- endmacro %}

{% macro snowflake__json_document(text) -%}
    try_parse_json({{ text }})
{%- endmacro %}

{% macro json_texts(document, paths) -%}
    {{ embedded__json_texts(document, paths) if is_embedded() else document }}
{%- endmacro %}

{#
    NULL for a missing field and for JSON null, the plain characters of a string, compact JSON of an
    object or a list.
#}
{% macro json_text(fields, paths, path) -%}
    {%- if path not in paths -%}
        {{ exceptions.raise_compiler_error(path ~ ' is not one of ' ~ paths) }}
    {%- endif -%}
    {{
        embedded__json_text(fields, paths, path) if is_embedded()
        else snowflake__json_text(fields, path)
    }}
{%- endmacro %}

{% macro snowflake__json_text(fields, path) -%}
    {{ fields }}:{{ path }}::varchar
{%- endmacro %}

{# Text of one field of a document. #}
{% macro json_field(document, path) -%}
    {{ json_text(json_texts(document, [path]), [path], path) }}
{%- endmacro %}

{# Characters of a text that is the inside of a JSON string; NULL when it is not. #}
{% macro json_unescaped(text) -%}
    {{ embedded__json_unescaped(text) if is_embedded() else snowflake__json_unescaped(text) }}
{%- endmacro %}

{% macro snowflake__json_unescaped(text) -%}
    try_parse_json('["' || {{ text }} || '"]')[0]::varchar
{%- endmacro %}
