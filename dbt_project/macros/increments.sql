{#
    How an increment selects its rows without full table scans.

    Snowflake prunes micro-partitions by the minimum and maximum value of a column, only for
    conditions with literals, never with a subquery or a join
    (docs.snowflake.com/en/user-guide/tables-clustering-micropartitions#query-pruning). So the
    bounds of an increment are queried first and written into its statements as literals.

    Why days: an event changes its own gap, the gap of the event before it and whether the event
    after it starts a session, the last two only within the session timeout, because the length of a
    longer gap is not stored. So for a learner in a course run, only the days within a timeout of
    new events change.
#}

{#
    False when an event farther away than the timeout can change an event's credit: "cap" depends on
    whether the learner ever came back, and a video may be stopped days after it was played. Then
    all days of a touched learner and course run are rebuilt.
#}
{% macro follows_time() -%}
    {{ return(var('long_gap_rule') == 'drop' and not var('long_video_option')) }}
{%- endmacro %}

{#
    Rows that arrived since a table was built, as SQL: `is_new`, a condition on the rows of
    `arrived`; `newest`, the stamp of the last of them; and `is_near`, a condition on event_at that
    holds for every event that affects the days they touch.
#}
{% macro increment_of(arrived, built, condition='true') -%}
    {%- set since = newest_stamp(built) -%}
    {%- set is_new = condition ~ " and processed_at > " ~ since -%}
    {{ return({
        'is_new': is_new,
        'newest': newest_stamp(arrived),
        'is_near': near_days(
            'activity_date',
            touched_days("(select * from " ~ arrived ~ " where " ~ is_new ~ ")"),
            var('session_timeout_seconds') | int,
        ) if follows_time() else 'true',
    }) }}
{%- endmacro %}

{# Literal of the newest processed_at in a table. #}
{% macro newest_stamp(relation) -%}
    {%- set newest = run_query(
        "select " ~ timestamp_text('max(processed_at)') ~ " from " ~ relation
    ).rows[0][0] -%}
    {{ return("'" ~ (newest or '1970-01-01') ~ "'::timestamp_ntz") }}
{%- endmacro %}

{# Condition that event_at is on one of the days in a query, or within `seconds` of one. #}
{% macro near_days(day, query, seconds) -%}
    {%- set bounds = run_query(
        "select "
        ~ timestamp_text("dateadd(second, -" ~ seconds ~ ", " ~ day_start(day) ~ ")")
        ~ ", "
        ~ timestamp_text(
            "dateadd(second, " ~ seconds ~ ", " ~ day_start("dateadd(day, 1, " ~ day ~ ")") ~ ")"
        )
        ~ " from (select distinct " ~ day ~ " from (" ~ query ~ ")) order by 1"
    ) -%}
    {{ return(within_ranges('event_at', bounds.rows)) }}
{%- endmacro %}

{#
    SELECT of learner, course run and the days within a timeout of the events. In half-timeout
    steps, since a timeout may be a day, and the day on which clocks go forward is shorter.
#}
{% macro touched_days(events) -%}
    {%- set timeout = var('session_timeout_seconds') | int -%}
    select distinct
        events.user_id,
        events.courserun_key,
        {{ local_date('dateadd(second, reach.seconds, events.event_at)') }} as activity_date
    from {{ events }} as events
    cross join (
        {% for seconds in [-timeout, -timeout // 2, 0, timeout // 2, timeout] -%}
        select {{ seconds }} as seconds
        {{ 'union all' if not loop.last }}
        {% endfor %}
    ) as reach
{%- endmacro %}

{# Condition that a row's learner and course run were touched, and its day if by day. #}
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

{# Condition that a TIMESTAMP_NTZ is in one of these ascending [begin, end) ranges of texts. #}
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

{# More literals in one condition cost more to compile than they save. #}
{% macro most_literals() -%}
    {{ return(300) }}
{%- endmacro %}

{# VARCHAR of a TIMESTAMP_NTZ, to the microsecond; sorts by time. #}
{% macro timestamp_text(timestamp) -%}
    to_varchar({{ timestamp }}, 'YYYY-MM-DD HH24:MI:SS.FF6')
{%- endmacro %}

{#
    dbt deletes by a subquery over the new rows, which prunes no partition. Adding the days and load
    times of these rows as literals deletes the same rows and skips all other partitions. A whole
    learner and course run is replaced when increments do not follow time: a day on which a video
    only continued to play may lose its row.
#}
{% macro snowflake__get_delete_insert_merge_sql(
    target, source, unique_key, dest_columns, incremental_predicates
) -%}
    {%- set key = unique_key if follows_time() or 'user_id' not in unique_key
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

{# Condition that a DATE is one of those in a relation, or within their range if there are many. #}
{% macro among_days(column, relation) -%}
    {%- set days = run_query(
        "select distinct to_varchar(" ~ column ~ ", 'YYYY-MM-DD') from " ~ relation ~ " order by 1"
    ).columns[0].values() -%}
    {%- if not days -%}
        {{ return('false') }}
    {%- elif days | length > most_literals() -%}
        {{ return(column ~ " between '" ~ days[0] ~ "'::date and '" ~ days[-1] ~ "'::date") }}
    {%- endif -%}
    {{ return(column ~ " in ('" ~ days | join("'::date, '") ~ "'::date)") }}
{%- endmacro %}

{#
    The rows that a data test checks. With `where: changed_lately`, these are the rows of all days
    with a row processed in the last `late_arrival_days`: an increment writes no others, and a fault
    stays visible for that long.
#}
{% macro snowflake__get_where_subquery(relation) -%}
    {#- Before the first build there is no table to query. -#}
    {%- if config.get('where') != 'changed_lately' or not execute or not load_relation(relation) -%}
        {{ return(dbt.default__get_where_subquery(relation)) }}
    {%- endif -%}
    {%- set lately = "processed_at > dateadd(day, -" ~ var('late_arrival_days') ~ ", "
        ~ newest_stamp(relation) ~ ")" -%}
    {%- set changed = among_days(
        'activity_date', "(select * from " ~ relation ~ " where " ~ lately ~ ")"
    ) -%}
    {#- An empty table has no days. -#}
    {{ return(relation if changed == 'false'
        else "(select * from " ~ relation ~ " where " ~ changed ~ ") as changed_lately") }}
{%- endmacro %}
