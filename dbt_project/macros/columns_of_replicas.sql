{#
    Columns of a relation, as dbt asks for them to build the fixtures of a unit test. The embedded
    engine's DESCRIBE finds nothing in another database than the connected one, where the replicas
    are; its information schema does.
#}
{% macro snowflake__get_columns_in_relation(relation) -%}
    {%- if target.name == 'embedded' and relation.database | lower != target.database | lower -%}
        {%- set sql -%}
            select
                column_name as "name",
                case data_type
                    when 'TEXT' then 'VARCHAR'
                    when 'NUMBER' then 'NUMBER(' || numeric_precision || ',' || numeric_scale || ')'
                    else data_type
                end as "type"
            from {{ relation.database }}.information_schema.columns
            where
                table_schema = '{{ relation.schema | upper }}'
                and table_name = '{{ relation.identifier | upper }}'
            order by ordinal_position
        {%- endset -%}
    {%- else -%}
        {%- set sql = 'describe table ' ~ relation.render() -%}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for row in run_query(sql) -%}
        {%- do columns.append(api.Column.from_description(row['name'], row['type'])) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}
