{#
    Fingerprint of a learner, as sync/ledger/erasures.py makes it: the table of erasures names
    nobody.
#}
{% macro person_key(user_id) -%}
    sha2('learning-time-erasure|' || {{ user_id }}::varchar, 256)
{%- endmacro %}

{#
    The branch of a CASE for lines of learners who were erased: counted, and nothing of them kept.
    Read when a model is built, so that lines cost nothing while nobody was erased.
#}
{% macro when_erased(user_id) -%}
    {%- if execute -%}
        {%- set erasures = erasures_relation() -%}
        {%- if erasures -%}
            {%- set keys = run_query('select distinct person_key from ' ~ erasures).rows -%}
            {%- if keys | length > 0 -%}
    when
        {{ person_key(user_id) }} in (
            '{{ keys | map(attribute=0) | join("', '") }}'
        )
        then 'user_erased'
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# The ledger's table of erasures; none before the ledger is of version 5. #}
{% macro erasures_relation() -%}
    {%- set plain = target.schema | lower == 'public' -%}
    {{ return(adapter.get_relation(
        database=target.database,
        schema='sync' if plain else target.schema ~ '_sync',
        identifier='erasures'
    )) }}
{%- endmacro %}
