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
    {{ embedded__json_document(text) if is_embedded() else snowflake__parsed_json(text) }}
{%- endmacro %}

{# The document in which the last value counts where a name of the paths stands twice. #}
{% macro with_last_values(document, paths) -%}
    {{ embedded__with_last_values(document, paths) if is_embedded() else document }}
{%- endmacro %}

{#
    VARIANT of JSON text; NULL for any other text. Of two values of one key the last counts, as in
    most readers.
#}
{% macro parsed_json(text) -%}
    {{ embedded__parsed_json(text) if is_embedded() else snowflake__parsed_json(text) }}
{%- endmacro %}

{% macro snowflake__parsed_json(text) -%}
    case
        when regexp_like(replace({{ text }}, chr(127), ''), '{{ strict_json() }}')
            then try_parse_json({{ text }}, 'd')
    end
{%- endmacro %}

{#
    Pattern of a text that is JSON by the letter. Snowflake's reader takes more, such as {a:1}, True,
    undefined, [1,,2] and "\d"; the embedded engine's does not, nor does a customer's. The pattern
    knows tokens and where a comma may stand, and leaves the nesting to the reader. DEL belongs to
    [:cntrl:] and is allowed in JSON, so it is taken out first.
    https://docs.snowflake.com/en/sql-reference/functions/parse_json
#}
{% macro strict_json() -%}
    {%- set space = '[[:space:]]*' -%}
    {#- One in the pattern is two there and four in the literal. -#}
    {%- set slash = '\\\\\\\\' -%}
    {%- set hex = '[0-9a-fA-F]' -%}
    {%- set pair = '[dD][89abAB]' ~ hex ~ '{2}' ~ slash ~ 'u[dD][c-fC-F]' ~ hex ~ '{2}' -%}
    {%- set code = '[0-9a-cA-CefEF]' ~ hex ~ '{3}|[dD][0-7]' ~ hex ~ '{2}|' ~ pair -%}
    {%- set escape = slash ~ '(["/bfnrt]|' ~ slash ~ '|u(' ~ code ~ '))' -%}
    {%- set string = '"([^"' ~ slash ~ '[:cntrl:]]|' ~ escape ~ ')*"' -%}
    {%- set number = '-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?' -%}
    {%- set word = 'true|false|null|[nN][aA][nN]|-?[iI][nN][fF]([iI][nN][iI][tT][yY])?' -%}
    {%- set empty = '[{]' ~ space ~ '[}]|[[]' ~ space ~ '[]]' -%}
    {%- set opened = '([[{]' ~ space ~ ')*' -%}
    {%- set closed = '(,?' ~ space ~ '[]}]' ~ space ~ ')*' -%}
    {%- set value = opened ~ '(' ~ [string, number, word, empty] | join('|') ~ ')' ~ space
        ~ closed -%}
    {{ space ~ value ~ '([,:]' ~ space ~ value ~ ')*' }}
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
    {{ snowflake__parsed_json("'[\"' || " ~ text ~ " || '\"]'") }}[0]::varchar
{%- endmacro %}
