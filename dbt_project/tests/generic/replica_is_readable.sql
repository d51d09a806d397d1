{#
    Every non-empty value can be read, every deletion mark is known, and the newest row of each key
    is known. The error message names the column, because an alert does not include the rows of a
    failed test. `dbt show` with the test's name shows the counts.
#}
{% test replica_is_readable(model, table) %}
    {%- set spec = replica_tables()[table] -%}
    {%- set columns = replica_columns(table) -%}
    {%- set found = marks_of_replica(table, columns) -%}
    {%- set orders = [] -%}
    {#- No filter in the loop: it would renumber the columns. -#}
    {%- for order in orders_of_replica(table, columns) -%}
        {%- if order.kind in ['text', 'variant', 'binary'] -%}
            {%- do orders.append(loop.index) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set query -%}
        with

        {{ replica_states(table, columns, checked=true) }},

        counted as (
            select
                {%- for name in spec.columns if name in columns %}
                {%- set unread %}iff({{ name }} is null, given_{{ name }}, null){% endset %}
                count({{ unread }}) as unreadable_{{ name }},
                max({{ shape_of(unread) }}) as shape_{{ name }},
                {%- endfor %}
                {%- for mark in found.marks %}
                count(iff(state_{{ loop.index }} is null, 1, null)) as unreadable_mark_{{ loop.index }},
                max(iff(
                    state_{{ loop.index }} is null,
                    {{ shape_of('given_mark_' ~ loop.index) }},
                    null
                )) as shape_mark_{{ loop.index }},
                {%- endfor %}
                count(iff({{ spec.key }} is null, 1, null)) as without_key
            from newest
            where coalesce(deletion_state, 0) = 0
        ),

        -- Rows of one key that cannot be ordered and have different values.
        undecided_keys as (
            select {{ spec.key }}
            from ranked
            where age_in_order = 1 and row_count > 1 and {{ spec.key }} is not null
            group by {{ spec.key }}
            having
                max(coalesce(deletion_state, 0)) = 0
                and (
                    {%- for name in spec.columns %}
                    count(distinct coalesce({{ name }}::varchar, '')) > 1
                    {{- ' or' if not loop.last }}
                    {%- endfor %}
                )
        ),

        undecided as (
            select count(*) as key_count from undecided_keys
        ),

        -- Text compared character by character: correct for numbers of equal length, not for these.
        misread_orders as (
            select count(*) as row_count
            from ranked
            where
                row_count > 1
                and (
                    {%- for index in orders %}
                    (
                        order_{{ index }} is not null
                        and try_cast(order_{{ index }} as number(38, 6)) is null
                        and order_{{ index }}_time is null
                        and regexp_like(order_{{ index }}, '.*[/ ].*')
                    ) or
                    {%- endfor %}
                    false
                )
        ),

        final as (
            select
                counted.*,
                undecided.key_count as undecided_keys,
                misread_orders.row_count as misread_orders
            from counted
            cross join undecided
            cross join misread_orders
            where
                {%- for name in spec.columns if name in columns %}
                counted.unreadable_{{ name }} > 0 or
                {%- endfor %}
                {%- for mark in found.marks %}
                counted.unreadable_mark_{{ loop.index }} > 0 or
                {%- endfor %}
                counted.without_key > 0
                or undecided.key_count > 0
                or misread_orders.row_count > 0
                or {{ found.unknown | length }} > 0
        )

        select * from final
    {%- endset -%}
    {%- if execute and flags.WHICH in ['build', 'test'] -%}
        {{ stop_for_unreadable_replica(table, columns, found, run_query(query).rows) }}
    {%- endif -%}
    {{ query }}
{% endtest %}
