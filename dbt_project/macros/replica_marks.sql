{#
    How replication tools mark a row as deleted, and which of several rows is the newest.

    Names are compared in lower case by letters and digits only, so one entry covers `_deleted`,
    `__DELETED` and `"Deleted"`. docs/your-replica.md lists the marks of each tool.
#}

{# Column name in the spelling of the lists below. #}
{% macro bare_name(name) -%}
    {{ return(modules.re.sub('[^a-z0-9]', '', name | lower)) }}
{%- endmacro %}

{# Bare name to the form of the mark (deletion_state). #}
{% macro known_marks() -%}
    {%- set marks = {} -%}
    {%- for name in [
        'fivetrandeleted', 'abcdcdeletedat', 'sdcdeletedat', 'sdcdeleted', 'deleted', 'isdeleted',
        'deletedflag', 'deletedind', 'deleteflag', 'isdelete', 'softdeleted', 'issoftdeleted',
        'harddeleted', 'rowdeleted', 'recorddeleted', 'rowisdeleted', 'markeddeleted',
        'deletedat', 'deletedon', 'deletedts', 'deletedtime', 'deletedtimestamp', 'deleteddate',
        'dateddeleted', 'datedeleted', 'softdeletedat', 'rowdeletedat', 'recorddeletedat',
        'hevomarkeddeleted', 'snowflakedeleted', 'peerdbisdeleted', 'slingdeletedat', 'artiedelete',
        'hvrisdeleted', 'datastreammetadataisdeleted', 'metadatadeleted', 'metadataisdeleted',
        'polytomicdeleted', 'polytomicdeletedat', 'skyviadeleted', 'cdatadeleted', 'estuarydeleted',
        'flowdeleted', 'metadeleted', 'streamkapdeleted', 'mtlndeleted', 'matilliondeleted',
        'riverydeleted', 'dltdeleted', 'dltdeletedat', 'dbtisdeleted', 'dbtvalidto', 'dltvalidto',
        'tombstone', 'istombstone',
    ] -%}
        {%- do marks.update({name: 'flag'}) -%}
    {%- endfor -%}
    {%- for name in [
        'op', 'operation', 'optype', 'operationtype', 'cdcop', 'cdcoperation', 'cdcoperationtype',
        'dmsop', 'dmsoperation', 'metaop', 'headerchangeoper', 'headeroperation', 'changeoper',
        'changetype', 'metadatachangetype', 'datastreammetadatachangetype', 'cdcchangetype',
        'rowkind', 'slingsyncedop', 'metadataaction', 'metadataoperation', 'infaoptype',
        'sourceop', 'debeziumop', 'rowop', 'dmloperation', 'dmltype', 'cdcdmltype', 'mtlncdcop',
        'changeoperation',
    ] -%}
        {%- do marks.update({name: 'operation'}) -%}
    {%- endfor -%}
    {%- do marks.update({
        'fivetranactive': 'live', 'hvrop': 'hvr', '$operation': 'sql_server',
    }) -%}
    {{ return(marks) }}
{%- endmacro %}

{# Bare names of columns that order the rows of one key, most reliable first. #}
{% macro known_orders() -%}
    {{ return([
        'fivetranstart', 'dbtvalidfrom', 'dltvalidfrom', 'headerchangeseq', 'startlsn', 'seqval',
        'commitversion', 'committimestamp', 'sourcetsms', 'sourcetsus', 'sourcetsns', 'tsms',
        'sourcetimestamp', 'lsn', 'sourcelsn', 'scn', 'sourcescn', 'abcdcupdatedat', 'abcdclsn',
        'abcdclogfile', 'abcdclogpos', 'abcdccursor', 'sourcefile', 'sourcepos', 'binlogfile',
        'binlogposition', 'dmstimestamp', 'transactcommittime', 'headertimestamp', 'cdctimestamp',
        'metadatatimestamp', 'datastreammetadatasourcetimestamp', 'hvrintegtstamp', 'hvrintegseq',
        'hvrintegkey', 'artiedbupdatedat', 'artieupdatedat', 'sdcsequence', 'sdcextractedat',
        'sdcreceivedat', 'sdcbatchedat', 'hevosourcemodifiedat', 'hevoingestedat', 'hevoloadedat',
        'flowpublishedat', 'fivetransynced', 'airbyteextractedat', 'airbyteemittedat',
        'airbytenormalizedat', 'airbyteloadedat', 'snowflakeupdatedat', 'snowflakeinsertedat',
        'peerdbsyncedat', 'slingsyncedat', 'slingloadedat', 'dltloadid', 'dbtupdatedat',
        'modified', 'modifiedat', 'modifieddate', 'updatedat', 'lastupdated', 'lastmodified', 'loadedat',
        'ingestedat', 'insertedat', 'extractedat', 'syncedat', 'replicatedat', 'loadtimestamp',
        'ingestiontimestamp',
    ]) }}
{%- endmacro %}

{#
    Setting of one table in a var that maps tables to settings: its own, else that of `every_table`.
    Raises for a table that is not a replica.
#}
{% macro replica_setting(name, table, default) -%}
    {%- set settings = var(name) or {} -%}
    {%- for one in settings if one != 'every_table' and one not in replica_tables() -%}
        {{ exceptions.raise_compiler_error(
            'The var ' ~ name ~ ' names ' ~ one ~ ', which is no replica that is read. Known: '
            ~ 'every_table, ' ~ replica_tables() | join(', ')
        ) }}
    {%- endfor -%}
    {{ return(settings.get(table, settings.get('every_table', default))) }}
{%- endmacro %}

{#
    Marks of a replica: list of {name, sql, kind, form, deleted}. Columns that only look like a mark
    have the form `unknown`, and their names are in `unknown`, which fails the data test.
#}
{% macro marks_of_replica(table, columns) -%}
    {%- set found = [] -%}
    {%- set unknown = [] -%}
    {%- set read = replica_tables()[table].columns -%}
    {%- set own = replica_setting('deletion_marks', table, {}) -%}
    {%- set harmless = var('not_deletion_marks') | map('lower') | list -%}
    {%- if own and not own.column -%}
        {{ exceptions.raise_compiler_error(
            'The var deletion_marks names no column for ' ~ table ~ ': write it as '
            ~ '{column: <name>, deleted: [<values>]}, or without values for a flag or a time.'
        ) }}
    {%- endif -%}
    {%- if own and columns -%}
        {%- set configured = columns.get(own.column | lower) -%}
        {%- if configured -%}
            {%- set values = own.get('deleted', []) -%}
            {%- do found.append({
                'name': own.column | lower, 'sql': configured.sql, 'kind': configured.kind,
                'form': 'configured' if values else 'flag',
                'deleted': [values] if values is string else values,
            }) -%}
        {%- elif table in var('deletion_marks') -%}
            {{ exceptions.raise_compiler_error(
                'The var deletion_marks names ' ~ table ~ '.' ~ own.column
                ~ ', and the replica has no such column.'
            ) }}
        {%- endif -%}
    {%- endif -%}
    {%- for name, column in columns.items()
        if name not in read and name not in harmless and (table ~ '.' ~ name) not in harmless
        and name != (own.column or '') | lower
    -%}
        {%- set bare = '$operation' if name == '__$operation' else bare_name(name) -%}
        {%- if bare in known_marks() -%}
            {%- do found.append({
                'name': name, 'sql': column.sql, 'kind': column.kind, 'form': known_marks()[bare],
            }) -%}
        {%- elif modules.re.search(
            'delet|tombston|purged|expunged|(^|_)(op|oper|operation|op_?type|change_?type|row_?kind)$',
            name
        ) -%}
            {%- do unknown.append(name) -%}
            {%- do found.append({
                'name': name, 'sql': column.sql, 'kind': column.kind, 'form': 'unknown',
            }) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return({'marks': found, 'unknown': unknown}) }}
{%- endmacro %}

{# Columns that order the rows of one key: list of {name, sql, kind}. #}
{% macro orders_of_replica(table, columns) -%}
    {%- set found = [] -%}
    {%- set own = replica_setting('newest_row_by', table, []) -%}
    {%- for name in own -%}
        {%- if name | lower in columns -%}
            {%- do found.append({
                'name': name | lower, 'sql': columns[name | lower].sql,
                'kind': columns[name | lower].kind,
            }) -%}
        {%- elif columns and table in var('newest_row_by') -%}
            {{ exceptions.raise_compiler_error(
                'The var newest_row_by names ' ~ table ~ '.' ~ name
                ~ ', and the replica has no such column.'
            ) }}
        {%- endif -%}
    {%- endfor -%}
    {%- for bare in known_orders() -%}
        {%- for name, column in columns.items() if bare_name(name) == bare and not own -%}
            {%- do found.append({'name': name, 'sql': column.sql, 'kind': column.kind}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#
    State of a row by its mark: 0 live, 1 deleted, 2 the image before a change, which is not a
    separate row; NULL when the value cannot be read. `given` is the column of an earlier step with
    the mark's value, after given_text if it is text; `update` is the same for Snowflake's
    METADATA$ISUPDATE, or empty.
#}
{% macro deletion_state(mark, given, update) -%}
    {%- set text = "lower(" ~ given ~ "::varchar)" -%}
    {%- if mark.form == 'configured' -%}
        iff(
            {%- for value in mark.deleted %}
            {%- if value is boolean %}
            coalesce({{ read_boolean(given, mark.kind) }} = {{ value | lower }}, false)
            {%- elif value is number and mark.kind == 'number' %}
            coalesce({{ given }} = {{ value }}, false)
            {%- else %}
            coalesce({{ text }} = {{ dbt.string_literal(
                dbt.escape_single_quotes(value | string | lower | trim)
            ) }}, false)
            {%- endif %}
            {{- ' or' if not loop.last }}
            {%- endfor %},
            1,
            0
        )
    {%- elif mark.form == 'unknown' -%}
        case when {{ given }} is null or not {{ read_boolean(given, mark.kind) }} then 0 end
    {%- elif mark.form == 'live' -%}
        case
            when {{ read_boolean(given, mark.kind) }} then 0
            when not {{ read_boolean(given, mark.kind) }} then 1
        end
    {%- elif mark.form == 'flag' -%}
        {#- A bit, or the time of the deletion; the year 9999 means a row that is still valid. -#}
        {%- if mark.kind in ['timestamp', 'zoned', 'date'] -%}
            iff({{ given }} is null or {{ given }}::date >= '9999-01-01'::date, 0, 1)
        {%- else -%}
            case
                when {{ given }} is null then 0
                when {{ read_boolean(given, mark.kind) }} then 1
                when not {{ read_boolean(given, mark.kind) }} then 0
                {%- if mark.kind == 'number' %}
                when {{ unix_time(given) }} is not null then 1
                {%- elif mark.kind in ['text', 'variant'] %}
                when regexp_like({{ text }}, '9999-[0-9]{2}-[0-9]{2}.*') then 0
                when regexp_like({{ text }}, '(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}([t ].*)?') then 1
                when regexp_like({{ text }}, '[0-9]{9,19}([.][0-9]*)?') then 1
                {%- endif %}
            end
        {%- endif -%}
    {%- elif mark.form == 'hvr' -%}
        case {{ read_integer(given, mark.kind) }}
            when 0 then 1 when 1 then 0 when 2 then 0 when 3 then 2 when 4 then 2
        end
    {%- elif mark.form == 'sql_server' -%}
        case {{ read_integer(given, mark.kind) }}
            when 1 then 1 when 2 then 0 when 3 then 2 when 4 then 0 when 5 then 0
        end
    {%- else -%}
        {#- Snowflake streams write an update as DELETE and INSERT, marked by METADATA$ISUPDATE. -#}
        case
            when {{ text }} is null then 0
            {%- if bare_name(mark.name) == 'metadataaction' and update %}
            when {{ text }} = 'delete' and {{ update }} then 2
            {%- endif %}
            when {{ text }} in (
                'd', 'delete', 'deleted', 'del', '-d', 'remove', 'removed', 'update-delete',
                'tombstone'
            ) then 1
            when {{ text }} in (
                'b', 'before', 'ub', '-u', 'update_preimage', 'preimage', 'update_before',
                'before_image', 'beforeimage'
            ) then 2
            when {{ text }} in (
                'c', 'r', 'u', 'i', 'a', 'insert', 'inserted', 'update', 'updated', 'upsert',
                'create', 'created', 'read', 'snapshot', 'load', 'initial', 'refresh', 'merge',
                '+i', '+u', 'update_postimage', 'postimage', 'update_after', 'after',
                'after_image', 'update-insert', 'updateafter'
            ) then 0
        end
    {%- endif -%}
{%- endmacro %}
