{#
    Everything that differs between the laptop's embedded engine and Snowflake. This is the only
    file that reads the target name.

    Both are reached through dbt's Snowflake adapter, so dbt cannot choose by adapter. Each
    difference is a pair of macros instead: `embedded__<name>` here and `snowflake__<name>` next to
    the macro `<name>`, which chooses between them. Models call `<name>`.
#}
{% macro is_embedded() -%}
    {{ return(target.name == 'embedded') }}
{%- endmacro %}

{# JSON is text that is parsed again for every path, so one call reads all paths of a document. #}

{% macro embedded__json_document(text) -%}
    case when json_valid({{ text }}) then {{ text }} end
{%- endmacro %}

{% macro embedded__parsed_json(text) -%}
    try_parse_json({{ text }}, 'd')
{%- endmacro %}

{#
    For a duplicate key, the engine reads the first value. A document with a duplicate name is
    parsed again; doing so for every line would cost four times its other processing. Names are
    checked where fields are read: in the document and in its context.
#}
{% macro embedded__with_last_values(document) -%}
    {%- set keys = 'json_keys(' ~ document ~ ", ['$', '$.context'])" -%}
    case
        when
            list_unique(list_extract({{ keys }}, 1)) < list_count(list_extract({{ keys }}, 1))
            or list_unique(list_extract({{ keys }}, 2)) < list_count(list_extract({{ keys }}, 2))
            then {{ embedded__parsed_json(document) }}::varchar
        else {{ document }}
    end
{%- endmacro %}

{#
    The same for a text. Nearly every line has only the fields that the LMS writes, each once, and
    checking that takes a third of the time. The keys also prove that the text is JSON: TRY is free
    until one text in 2,000 is not JSON, so texts without a closing brace, such as truncated ones,
    are handled separately.
#}
{% macro embedded__json_with_last_values(text) -%}
    {%- set keys = 'try(json_keys(case when endswith(' ~ text ~ ", '}') then " ~ text
        ~ " end, ['$', '$.context']))" -%}
    {%- set fields = [
        'name', 'event_type', 'event_source', 'time', 'username', 'context', 'event', 'page',
        'referer', 'agent', 'host', 'session', 'ip', 'accept_language',
    ] -%}
    {%- set fields_of_context = [
        'course_id', 'org_id', 'user_id', 'path', 'component', 'received_at', 'course_user_tags',
        'module',
    ] -%}
    case
        when
            list_count(list_extract({{ keys }}, 1)) = {{ fields | length }}
            {%- for name in fields %}
            and list_contains(list_extract({{ keys }}, 1), '{{ name }}')
            {%- endfor %}
            and list_count(list_extract({{ keys }}, 2)) = {% for name in fields_of_context -%}
            list_contains(list_extract({{ keys }}, 2), '{{ name }}')::int
            {{- ' + ' if not loop.last }}
            {%- endfor %}
            then {{ text }}
        when {{ keys }} is not null or json_valid({{ text }})
            then {{ embedded__with_last_values(text) }}
    end
{%- endmacro %}

{% macro embedded__json_texts(document, paths) -%}
    json_extract_string({{ document }}, ['$.{{ paths | join("', '$.") }}'])
{%- endmacro %}

{% macro embedded__json_text(fields, paths, path) -%}
    list_extract({{ fields }}, {{ paths.index(path) + 1 }})::varchar
{%- endmacro %}

{% macro embedded__json_unescaped(text) -%}
    json_extract_string(
        case when json_valid('"' || {{ text }} || '"') then '"' || {{ text }} || '"' end, '$'
    )
{%- endmacro %}

{% macro embedded__document_text(document) -%}
    {{ document }}
{%- endmacro %}

{% macro embedded__begins_with_a_record(document) -%}
    coalesce(
        startswith({{ document }}, '[')
        and contains(json_extract_string({{ document }}, '$[0]'), '{'),
        false
    )
{%- endmacro %}

{# List of the texts in a list or an object that contain events. #}
{% macro embedded__texts_with_events(document, is_whole) -%}
    list_filter(
        case
            when startswith({{ document }}, '[')
                then json_extract_string({{ document }}, '$[*]')
            else json_extract_string({{ document }}, '$.*')
        end,
        child -> {{ is_text_with_event('child', is_whole) }}
    )
{%- endmacro %}

{% macro embedded__first_text_with_event(document, is_whole) -%}
    list_extract({{ embedded__texts_with_events(document, is_whole) }}, 1)::varchar
{%- endmacro %}

{% macro embedded__has_several_events(document) -%}
    array_length({{ embedded__texts_with_events(document, is_whole=true) }}) > 1
{%- endmacro %}

{% macro embedded__with_elements(relation) -%}
    select
        *,
        unnest(case
            when is_list
                then list_transform(
                    case
                        when {{ begins_with_a_record('document') }}
                            then json_extract_string(document, '$[*]')
                        else {{ embedded__texts_with_events('document', is_whole=true) }}
                    end,
                    (child, number) -> number || ':' || coalesce(child, '')
                )
            else [null::varchar]
        end) as element
    from {{ relation }}
{%- endmacro %}

{# Sorting ten million wide rows takes memory; on a laptop, queries scan every row anyway. #}
{% macro embedded__written_in_order_of(column) -%}
{%- endmacro %}

{# Overrides of dbt's macros: the embedded engine keeps this metadata elsewhere than Snowflake. #}

{#
    dbt writes the rows of an incremental run and the fixtures of a unit test to a temporary table,
    which the engine rejects under a qualified name. dbt also drops a transient table at the end.
#}
{% macro snowflake__create_table_temporary_sql(relation, compiled_code) -%}
    {{
        dbt.snowflake__create_table_transient_sql(relation, compiled_code) if is_embedded()
        else dbt.snowflake__create_table_temporary_sql(relation, compiled_code)
    }}
{%- endmacro %}

{# DESCRIBE works only in the connected database, and the replicas are in another. #}
{% macro snowflake__get_columns_in_relation(relation) -%}
    {%- if not is_embedded() or relation.database | lower == target.database | lower -%}
        {{ return(dbt.snowflake__get_columns_in_relation(relation)) }}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for row in run_query(
        "select column_name, case data_type when 'TEXT' then 'VARCHAR' when 'NUMBER'"
        ~ " then 'NUMBER(' || numeric_precision || ',' || numeric_scale || ')' else data_type end"
        ~ " from " ~ relation.database ~ ".information_schema.columns"
        ~ " where table_schema = '" ~ relation.schema | upper ~ "'"
        ~ " and table_name = '" ~ relation.identifier | upper ~ "' order by ordinal_position"
    ) -%}
        {%- do columns.append(api.Column.from_description(row[0], row[1])) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{# information_schema.tables omits views, so the docs would show no columns for them. #}
{% macro snowflake__get_catalog_tables_sql(information_schema) -%}
    {%- set tables = dbt.snowflake__get_catalog_tables_sql(information_schema) -%}
    {%- if is_embedded() -%}
    select * from (
        {{ tables }}

        union all

        select
            table_catalog,
            table_schema,
            table_name,
            'VIEW',
            null,
            null
            {%- for statistic in ['clustering_key', 'row_count', 'bytes', 'last_modified'] -%}
            , '{{ statistic }}', null, '', false
            {%- endfor %}
        from {{ information_schema }}.views
    )
    {%- else -%}
        {{ tables }}
    {%- endif -%}
{%- endmacro %}

{# Lower-case names resolve like any others here; on Snowflake they need quotes. #}
{% macro is_found_unquoted(name) -%}
    {{ return(is_embedded() or name | upper == name) }}
{%- endmacro %}
