{#
    How an increment finds its work without reading the tables around it.

    Snowflake skips a micro-partition by the least and greatest value that a column has in it, for
    conditions with literals only, never for those with a subquery or a join
    (docs.snowflake.com/en/user-guide/tables-clustering-micropartitions#query-pruning). So the bounds
    of an increment are asked for first, and stand in its statements as literals.

    Why days: an event changes its own gap, that of the event before it and whether the one after it
    starts a session, and the last two only within the session timeout, because a longer gap is
    stored as longer and not as its length. So of a learner in a course run nothing changes but the
    days that new events reach with a timeout on either side.
#}

{#
    False where an event is worth more or less because of one that is farther away than the timeout:
    "cap" asks whether the learner ever came back, and a video may be stopped days after it was
    played. Then all days of a touched learner and course run are built again.
#}
{% macro follows_time() -%}
    {{ return(var('long_gap_rule') == 'drop' and not var('long_video_option')) }}
{%- endmacro %}

{#
    What has arrived since a table was built, as SQL: `is_new`, a condition on the rows of `arrived`,
    and `is_near`, one on event_at that holds for all that decides about the days they touch.
#}
{% macro increment_of(arrived, built, condition='true') -%}
    {%- set since = run_query(
        "select " ~ timestamp_text('max(processed_at)') ~ " from " ~ built
    ).rows[0][0] or '1970-01-01' -%}
    {%- set is_new = condition ~ " and processed_at > '" ~ since ~ "'::timestamp_ntz" -%}
    {%- if not follows_time() -%}
        {{ return({'is_new': is_new, 'is_near': 'true'}) }}
    {%- endif -%}
    {%- set timeout = var('session_timeout_seconds') | int -%}
    {%- set days = run_query(
        "select "
        ~ timestamp_text("dateadd(second, -" ~ timeout ~ ", " ~ day_start('activity_date') ~ ")")
        ~ ", "
        ~ timestamp_text(
            "dateadd(second, " ~ timeout ~ ", " ~ day_start("dateadd(day, 1, activity_date)") ~ ")"
        )
        ~ " from (select distinct activity_date from ("
        ~ touched_days("(select * from " ~ arrived ~ " where " ~ is_new ~ ")")
        ~ ")) order by 1"
    ).rows -%}
    {{ return({'is_new': is_new, 'is_near': within_ranges('event_at', days)}) }}
{%- endmacro %}

{# SELECT of learner, course run and the days that events reach with a timeout on either side. #}
{% macro touched_days(events) -%}
    {%- set timeout = var('session_timeout_seconds') | int -%}
    select distinct
        events.user_id,
        events.courserun_key,
        {{ local_date('dateadd(second, reach.seconds, events.event_at)') }} as activity_date
    from {{ events }} as events
    cross join (
        select -{{ timeout }} as seconds
        union all
        select 0 as seconds
        union all
        select {{ timeout }} as seconds
    ) as reach
{%- endmacro %}

{# Condition that a row's learner and course run were touched, and its day where days are. #}
{% macro is_touched(rows, by_day=false) -%}
    exists (
        select 1
        from touched
        where
            touched.user_id = {{ rows }}.user_id
            and touched.courserun_key = {{ rows }}.courserun_key
            {%- if by_day and follows_time() %}
            and touched.activity_date = {{ rows }}.activity_date
            {%- endif %}
    )
{%- endmacro %}

{# Condition that a TIMESTAMP_NTZ lies in one of these ascending [begin, end) ranges of texts. #}
{% macro within_ranges(column, bounds) -%}
    {%- set ranges = [] -%}
    {%- for begin, end in bounds -%}
        {%- if ranges and begin <= ranges[-1][1] -%}
            {%- do ranges.append([ranges.pop()[0], end]) -%}
        {%- else -%}
            {%- do ranges.append([begin, end]) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if ranges | length > most_literals() -%}
        {%- set ranges = [[ranges[0][0], ranges[-1][1]]] -%}
    {%- endif -%}
    {%- set conditions = [] -%}
    {%- for begin, end in ranges -%}
        {%- do conditions.append(
            column ~ " >= '" ~ begin ~ "'::timestamp_ntz and "
            ~ column ~ " < '" ~ end ~ "'::timestamp_ntz"
        ) -%}
    {%- endfor -%}
    ({{ conditions | join(' or ') or 'false' }})
{%- endmacro %}

{# More of them in one condition cost more to compile than they save. #}
{% macro most_literals() -%}
    {{ return(300) }}
{%- endmacro %}

{# VARCHAR of a TIMESTAMP_NTZ, to the microsecond; in the order of time. #}
{% macro timestamp_text(timestamp) -%}
    to_varchar({{ timestamp }}, 'YYYY-MM-DD HH24:MI:SS.FF6')
{%- endmacro %}

{#
    dbt deletes by a subquery over the new rows, which skips no partition. The days and load times of
    these rows, named as literals, change nothing of what is deleted and leave all other partitions
    alone. A whole learner and course run is replaced where increments do not follow time: a day on
    which a video only ran may lose its row.
#}
{% macro snowflake__get_delete_insert_merge_sql(
    target, source, unique_key, dest_columns, incremental_predicates
) -%}
    {%- set key = unique_key if follows_time()
        else unique_key | reject('equalto', 'activity_date') | list -%}
    {%- set predicates = (incremental_predicates or []) | list -%}
    {%- if 'activity_date' in key -%}
        {%- do predicates.append(among_days('activity_date', source)) -%}
    {%- endif -%}
    {%- if 'loaded_at' in key -%}
        {%- do predicates.append(within_batches("select loaded_at from " ~ source)) -%}
    {%- endif -%}
    {{ dbt.snowflake__get_delete_insert_merge_sql(target, source, key, dest_columns, predicates) }}
{%- endmacro %}

{# Condition that a DATE is one of those in a relation, or between them when there are many. #}
{% macro among_days(column, relation) -%}
    {%- set days = run_query(
        "select distinct to_varchar(" ~ column ~ ", 'YYYY-MM-DD') from " ~ relation ~ " order by 1"
    ).columns[0].values() -%}
    {%- if not days -%}
        false
    {%- elif days | length > most_literals() -%}
        {{ column }} between '{{ days[0] }}'::date and '{{ days[-1] }}'::date
    {%- else -%}
        {{ column }} in ('{{ days | join("'::date, '") }}'::date)
    {%- endif -%}
{%- endmacro %}
