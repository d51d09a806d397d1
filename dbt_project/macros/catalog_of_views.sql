{#
    Relations that `dbt docs generate` lists. Snowflake has views in information_schema.tables; the
    embedded engine has them in .views only, and without them the docs show no column of theirs.
#}
{% macro snowflake__get_catalog_tables_sql(information_schema) -%}
    {%- set tables = dbt.snowflake__get_catalog_tables_sql(information_schema) -%}
    {%- if target.name != 'embedded' -%}
        {{ tables }}
    {%- else -%}
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
    {%- endif -%}
{%- endmacro %}
