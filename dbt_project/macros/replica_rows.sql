{#
    The current rows of a replica, as common table expressions that end with `replica`: its columns
    by their names in the LMS, typed. Among rows with the same primary key, the newest counts, and a
    row whose newest state is deleted is left out, however the tool marks it. `is_doubtful` is true
    for rows that are in doubt (replica_tables).

    Rows without a readable key are kept as separate rows: the data test counts them.
#}
{% macro replica(table) -%}
    {%- set columns = replica_columns(table) -%}
    {%- set marks = marks_of_replica(table, columns).marks -%}
    {%- set spec = replica_tables()[table] -%}
    {{ replica_states(table, columns) }},

    replica as (
        select
            {{ spec.columns | join(',\n            ') }},
            {{ doubt_of_row(spec, columns, marks) }} as is_doubtful
        from newest
        -- In doubt, nothing is sent; the data test replica_is_readable reports it.
        where
            coalesce(deletion_state, 0) <> 1
            {%- if spec.in_doubt != 'kept' %}
            and not ({{ doubt_of_row(spec, columns, marks) }})
            {%- endif %}
    )
{%- endmacro %}

{# Whether a row of `newest` has a value, or a deletion mark, that cannot be read. #}
{% macro doubt_of_row(spec, columns, marks) -%}
    {%- if marks -%}
        deletion_state is null or
    {% endif -%}
    {%- for name, type in spec.columns.items() if type != 'text' and name in columns -%}
        {{ name }} is null and given_{{ name }} is not null or
    {% endfor -%}
    false
{%- endmacro %}

{#
    Expressions from `source` to `newest`, the newest state of every key; with `checked`, also what
    the data test counts.
#}
{% macro replica_states(table, columns, checked=false) -%}
    {%- set spec = replica_tables()[table] -%}
    {%- set marks = marks_of_replica(table, columns).marks -%}
    {%- set orders = orders_of_replica(table, columns) -%}
    {%- set relation = source(spec.source, table) -%}
    {%- set as_text = ['text', 'variant', 'binary'] -%}
    {%- for name in spec.columns if columns and name not in columns -%}
        {%- if name not in spec.get('optional', []) -%}
            {{ exceptions.raise_compiler_error(
                relation ~ ' has no column ' ~ name
                ~ ', which is needed; docs/your-replica.md says which columns are.'
            ) }}
        {%- endif -%}
    {%- endfor -%}
    {%- set update = namespace(column=none) -%}
    {%- for name, column in columns.items() if bare_name(name) == 'metadataisupdate' -%}
        {%- set update.column = column -%}
    {%- endfor -%}
    source as (
        {%- if is_replica_missing(columns) %}
        select
            {%- for name in columns %}
            null::varchar as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        where false
        {%- else %}
        select * from {{ relation }}
        {%- endif %}
    ),

    given as (
        select
            {%- for name, type in spec.columns.items() if name in columns %}
            {%- set column = columns[name] %}
            {%- if column.kind in as_text and type != 'text' %}
            {{ given_text(column.sql, column.kind) }} as given_{{ name }},
            {%- if type == 'timestamp' %}
            {{ spelled_as_iso(column.sql ~ "::varchar") }} as iso_{{ name }},
            {%- endif %}
            {%- else %}
            {{ column.sql }} as given_{{ name }},
            {%- endif %}
            {%- endfor %}
            {%- for mark in marks %}
            {{ given_text(mark.sql, mark.kind) if mark.kind in as_text else mark.sql }}
                as given_mark_{{ loop.index }},
            {%- endfor %}
            {%- for order in orders %}
            {%- if order.kind in as_text %}
            {{ given_text(order.sql, order.kind) }} as order_{{ loop.index }},
            {{ spelled_as_iso(order.sql ~ "::varchar") }} as iso_order_{{ loop.index }},
            {%- else %}
            {{ order.sql }} as order_{{ loop.index }},
            {%- endif %}
            {%- endfor %}
            {%- if update.column and update.column.kind in as_text %}
            {{ given_text(update.column.sql, update.column.kind) }} as given_update
            {%- else %}
            {{ update.column.sql if update.column else 'null' }} as given_update
            {%- endif %}
        from source
    ),

    typed as (
        select
            *,
            {%- for name, type in spec.columns.items() %}
            {%- if columns and name not in columns %}
            {{ read_value(type, 'null', 'text', 'null') }} as {{ name }},
            {%- else %}
            {{ read_value(
                type, 'given_' ~ name, columns[name].kind if columns else 'text', 'iso_' ~ name
            ) }} as {{ name }},
            {%- endif %}
            {%- endfor %}
            {%- for mark in marks %}
            {{ deletion_state(
                mark, 'given_mark_' ~ loop.index,
                read_boolean('given_update', update.column.kind) if update.column
            ) }} as state_{{ loop.index }},
            {%- endfor %}
            {#- No filter in the loop: it would renumber the columns. -#}
            {%- for order in orders %}
            {%- if order.kind in as_text %}
            {{ parse_utc_timestamp('iso_order_' ~ loop.index) }} as order_{{ loop.index }}_time,
            {%- endif %}
            {%- endfor %}
            null as end_of_columns
        from given
    ),

    stated as (
        select
            *,
            {{ deletion_state_of_all(marks) }} as deletion_state
        from typed
    ),

    {%- set in_order %}
                partition by {{ spec.key }}
                order by
                    {%- for order in orders %}
                    {%- if order.kind in as_text %}
                    try_cast(order_{{ loop.index }} as number(38, 6)) desc nulls last,
                    order_{{ loop.index }}_time desc nulls last,
                    {%- endif %}
                    order_{{ loop.index }} desc nulls last,
                    {%- endfor %}
    {%- endset %}

    ranked as (
        select
            *,
            row_number() over (
                {{- in_order }}
                    -- Keys are never reused: among equal rows, the deleted one is the last.
                    deletion_state desc nulls last
                    {%- for name, type in spec.columns.items() if type == 'boolean' %},
                    {{ name }} {{ forbidding_first(name, spec) }}
                    {%- endfor %}
            ) as age
            {%- if checked %},
            rank() over (
                {{- in_order }}
                    {{ spec.key }}
            ) as age_in_order,
            count(*) over (partition by {{ spec.key }}) as row_count
            {%- endif %}
        from stated
        where coalesce(deletion_state, 0) <> 2
    ),

    newest as (
        select * from ranked
        where age = 1 or {{ spec.key }} is null
    )
{%- endmacro %}

{# Sort direction that puts the flag value that sends less first, for rows without an order. #}
{% macro forbidding_first(name, spec) -%}
    {{ 'desc nulls last' if name in spec.get('forbidding', []) else 'asc nulls first' }}
{%- endmacro %}

{# Combined state of several marks, in order: image before a change, doubt, deleted, live. #}
{% macro deletion_state_of_all(marks) -%}
    {%- if not marks -%}
        0
    {%- elif marks | length == 1 -%}
        state_1
    {%- else -%}
        case
            when {% for mark in marks -%}
                coalesce(state_{{ loop.index }}, 0) = 2{{ ' or ' if not loop.last }}
            {%- endfor %} then 2
            when {% for mark in marks -%}
                state_{{ loop.index }} is null{{ ' or ' if not loop.last }}
            {%- endfor %} then null
            when {% for mark in marks -%}
                state_{{ loop.index }} = 1{{ ' or ' if not loop.last }}
            {%- endfor %} then 1
            else 0
        end
    {%- endif -%}
{%- endmacro %}

{#
    Shape of a value without its content: each digit becomes 9, each letter a. A shifted column can
    contain an email address, and errors are logged.
#}
{% macro shape_of(column) -%}
    left(regexp_replace(regexp_replace(
        {{ column }}::varchar, '[0-9]', '9'), '[^-0-9 .:/+{}"\']', 'a'), 30)
{%- endmacro %}

{# Raise an error that describes every problem of a replica; do nothing if there is none. #}
{% macro stop_for_unreadable_replica(table, columns, found, rows) -%}
    {%- set spec = replica_tables()[table] -%}
    {%- set problems = [] -%}
    {%- for name in found.unknown -%}
        {%- do problems.append(
            name ~ ' looks like a deletion mark and is none that is known: say in the var '
            ~ 'deletion_marks which values mean deleted, or list it in not_deletion_marks'
        ) -%}
    {%- endfor -%}
    {%- for row in rows -%}
        {%- set values = row.values() | list -%}
        {%- set at = namespace(index=0) -%}
        {%- for name, type in spec.columns.items() if name in columns -%}
            {%- if values[at.index] -%}
                {%- do problems.append(
                    name ~ ' has ' ~ values[at.index] ~ ' values that cannot be read as ' ~ type
                    ~ ', such as "' ~ values[at.index + 1] ~ '" (9 for a digit, a for a letter)'
                ) -%}
            {%- endif -%}
            {%- set at.index = at.index + 2 -%}
        {%- endfor -%}
        {%- for mark in found.marks -%}
            {%- if values[at.index] and mark.form != 'unknown' -%}
                {%- do problems.append(
                    'the deletion mark ' ~ mark.name ~ ' has ' ~ values[at.index]
                    ~ ' values that cannot be read, such as "' ~ values[at.index + 1]
                    ~ '": say in the var deletion_marks which values mean deleted'
                ) -%}
            {%- endif -%}
            {%- set at.index = at.index + 2 -%}
        {%- endfor -%}
        {%- if values[at.index] -%}
            {%- do problems.append(
                spec.key ~ ' is empty or unreadable in ' ~ values[at.index] ~ ' rows'
            ) -%}
        {%- endif -%}
        {%- if values[at.index + 1] -%}
            {%- do problems.append(
                values[at.index + 1] ~ ' values of ' ~ spec.key ~ ' have several rows that differ,'
                ~ ' and no column says which is the newest: name one in the var newest_row_by'
            ) -%}
        {%- endif -%}
        {%- if values[at.index + 2] -%}
            {%- do problems.append(
                'the columns that order several rows of one ' ~ spec.key ~ ' have '
                ~ values[at.index + 2] ~ ' values that are neither numbers nor timestamps: name'
                ~ ' another in the var newest_row_by'
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if problems -%}
        {{ exceptions.raise_compiler_error(
            'The replica ' ~ source(spec.source, table) ~ ' cannot be relied on: '
            ~ problems | join('; ') ~ '. See docs/your-replica.md.'
        ) }}
    {%- endif -%}
{%- endmacro %}
