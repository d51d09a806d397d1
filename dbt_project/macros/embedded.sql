{#
    All that the laptop's embedded engine needs written differently from Snowflake, and the only file
    that reads the name of the target.

    Both are reached through dbt's Snowflake adapter, so dbt cannot choose by adapter. A difference is
    a pair of macros instead: `embedded__<name>` here, and `snowflake__<name>` beside the macro
    `<name>`, which chooses. Models call `<name>`.
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
    Of two values of one key the engine reads the first. A document in which a name of the paths
    stands twice is parsed anew; that for every line would cost four times all that is done with it.
#}
{% macro embedded__with_last_values(document, paths) -%}
    {%- set patterns = [] -%}
    {%- for path in paths + ['context'] -%}
        {%- set name = path.split('.')[-1] -%}
        {#- In lists of keys: [[time, event, time], [path]] -#}
        {%- do patterns.append('[[ ]' ~ name ~ ',[^[]* ' ~ name ~ '[],]') -%}
    {%- endfor -%}
    case
        when
            regexp_matches(
                json_keys({{ document }}, ['$', '$.context'])::varchar, '{{ patterns | join("|") }}'
            )
            then {{ embedded__parsed_json(document) }}::varchar
        else {{ document }}
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

{# List of the texts in a list or an object that have events in them. #}
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

{# The engine keeps the order in which it reads; to sort ten million wide rows takes memory. #}
{% macro embedded__as_they_arrived() -%}
{%- endmacro %}

{# dbt's own macros: what they read on Snowflake is elsewhere in the embedded engine. #}

{#
    dbt writes the rows of an incremental run and the fixtures of a unit test to a temporary table,
    which the engine refuses under a qualified name. dbt drops a transient one at the end, too.
#}
{% macro snowflake__create_table_temporary_sql(relation, compiled_code) -%}
    {{
        dbt.snowflake__create_table_transient_sql(relation, compiled_code) if is_embedded()
        else dbt.snowflake__create_table_temporary_sql(relation, compiled_code)
    }}
{%- endmacro %}

{# DESCRIBE finds nothing in another database than the connected one; the replicas are in one. #}
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

{# information_schema.tables has no views, and without them the docs show no column of theirs. #}
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

{# Names in lower case are no different here; on Snowflake they need quotes. #}
{% macro is_found_unquoted(name) -%}
    {{ return(is_embedded() or name | upper == name) }}
{%- endmacro %}
