{#
    Fingerprint of a learner, as in sync/ledger/erasures.py: the erasures table contains no
    identities.
#}
{% macro person_key(user_id) -%}
    sha2('learning-time-erasure|' || {{ user_id }}::varchar, 256)
{%- endmacro %}

{#
    The CASE branch for lines of erased learners, which are counted but not kept. Queried when a
    model is built, so lines cost nothing while nobody is erased.
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

{# The ledger's erasures table; none before version 5 of the ledger. #}
{% macro erasures_relation() -%}
    {%- set plain = target.schema | lower == 'public' -%}
    {{ return(adapter.get_relation(
        database=target.database,
        schema='sync' if plain else target.schema ~ '_sync',
        identifier='erasures'
    )) }}
{%- endmacro %}
