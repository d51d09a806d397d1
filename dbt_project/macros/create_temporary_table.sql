{#
    dbt writes the rows of an incremental run and the fixtures of a unit test to a temporary table.
    The embedded engine refuses a temporary table with a qualified name, so there it is transient
    instead; dbt drops it at the end either way.
#}
{% macro snowflake__create_table_temporary_sql(relation, compiled_code) -%}
    {%- set contract = config.get('contract') -%}
    {%- if contract.enforced -%}
        {{- get_assert_columns_equivalent(compiled_code) -}}
        {%- set compiled_code = get_select_subquery(compiled_code) -%}
    {%- endif -%}
    {{ config.get('sql_header', '') }}
    create or replace {{ 'transient' if target.name == 'embedded' else 'temporary' }} table
        {{ relation }}
        {%- if contract.enforced %}
        {{ get_table_columns_and_constraints() }}
        {%- endif %}
    as (
        {{ compiled_code }}
    );
{%- endmacro %}
