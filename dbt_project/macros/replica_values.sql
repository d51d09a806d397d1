{#
    Values of replicas, one macro per type. Each reads every unambiguous spelling and returns NULL
    for the rest; the data test replica_is_readable counts values that become NULL, stops the marts
    and names the column.

    Arguments: an expression, and the kind of its type in the warehouse (kind_of_type). Text,
    VARIANT and BINARY come from given_text, in a column of an earlier step: each is written often.
#}

{#
    VARCHAR without surrounding whitespace and quotes; NULL when a tool has written that there is no
    value.
#}
{% macro given_text(column, kind) -%}
    {%- if kind == 'binary' -%}
        hex_encode({{ column }})
    {%- else -%}
        {%- set text = "regexp_replace(trim(" ~ column ~ "::varchar), '^\"([^\"]*)\"$', '\\\\1')" -%}
        case
            when lower({{ text }}) not in (
                '', 'null', 'none', 'nan', 'nat', '\\n', '0000-00-00', '0000-00-00 00:00:00',
                '0000-00-00 00:00:00.000000', '0000-00-00t00:00:00z'
            ) then {{ text }}
        end
    {%- endif -%}
{%- endmacro %}

{# BOOLEAN of one bit in any spelling. #}
{% macro read_boolean(column, kind) -%}
    {%- if kind == 'boolean' -%}
        {{ column }}
    {%- elif kind == 'number' -%}
        case when {{ column }} = 1 then true when {{ column }} = 0 then false end
    {%- elif kind == 'binary' -%}
        {#- A bit, or the digit of one. -#}
        case
            when {{ column }} in ('01', '31') then true
            when {{ column }} in ('00', '30') then false
        end
    {%- elif kind in ['text', 'variant'] -%}
        {#- Bits by name: Python's b'\x01', hexadecimal, the character itself, base64. -#}
        case
            when lower({{ column }}) in (
                'true', 't', 'yes', 'y', 'on', 'b''1''', 'b''\\x01''', '\\x01',
                'x''01''', '0x1', '0x01', 'aq=='
            ) then true
            when lower({{ column }}) in (
                'false', 'f', 'no', 'n', 'off', 'b''0''', 'b''\\x00''', '\\x00',
                'x''00''', '0x0', '0x00', 'aa=='
            ) then false
            when {{ column }} = chr(1) then true
            when {{ column }} = chr(0) then false
            when regexp_like({{ column }}, '[+]?0*1([.]0*)?([eE][+-]?0+)?') then true
            when regexp_like({{ column }}, '[+-]?0+([.]0*)?([eE][+-]?[0-9]+)?') then false
        end
    {%- else -%}
        null::boolean
    {%- endif -%}
{%- endmacro %}

{# NUMBER(38, 0) of a whole number, also as text or with a fraction of zeros. #}
{% macro read_integer(column, kind) -%}
    {%- if kind == 'number' -%}
        case
            when {{ column }} = floor({{ column }}) and abs({{ column }}) < 1e18
                then {{ column }}::number(38, 0)
        end
    {%- elif kind in ['text', 'variant'] -%}
        case
            when regexp_like({{ column }}, '[+-]?[0-9]{1,18}([.]0*)?')
                then try_cast(split_part({{ column }}, '.', 1) as number(38, 0))
        end
    {%- else -%}
        null::number(38, 0)
    {%- endif -%}
{%- endmacro %}

{#
    NUMBER(7, 6) of a fraction. Extra credit can raise it above 1; a percentage from 0 to 100 is
    another unit, and 1 would be ambiguous. Never FLOAT: in JSON, Snowflake writes a FLOAT of 0.88
    as 8.800000000000000e-01.
#}
{% macro read_fraction(column, kind) -%}
    {%- if kind == 'number' -%}
        case when {{ column }} between 0 and 2 then {{ column }}::number(7, 6) end
    {%- elif kind in ['text', 'variant'] -%}
        case
            when
                regexp_like(
                    {{ column }},
                    '([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?'
                )
                and try_cast({{ column }} as float) between 0 and 2
                then try_cast({{ column }} as float)::number(7, 6)
        end
    {%- else -%}
        null::number(7, 6)
    {%- endif -%}
{%- endmacro %}

{# UUID in lower case with hyphens, from 32 hexadecimal digits in any format, or 16 bytes. #}
{% macro read_uuid(column, kind) -%}
    {%- if kind in ['text', 'variant', 'binary'] -%}
        {{ hyphenated_uuid("regexp_replace(lower(" ~ column ~ "), '^(urn:uuid:|0x)|[{}\"]')") }}
    {%- else -%}
        null::varchar
    {%- endif -%}
{%- endmacro %}

{# VARCHAR with the text of a JSON document; NULL for text that is not JSON. #}
{% macro read_json(column, kind) -%}
    {%- if kind in ['text', 'variant'] -%}
        case when {{ parsed_json(column) }} is not null then {{ column }} end
    {%- else -%}
        null::varchar
    {%- endif -%}
{%- endmacro %}

{#
    TIMESTAMP_NTZ in UTC, at most microseconds.

    Read: timestamps with or without a zone (none is UTC), ISO 8601 text with any offset, and Unix
    time in seconds, milliseconds, microseconds or nanoseconds, whose ranges do not overlap between
    2000 and 2100. Not read: a date alone, which would move a completion to the start of its day;
    text with the day or the month first; anything outside those hundred years, such as the year
    1970 or 1 that loaders write for "none".

    `iso` is the column of an earlier step with what spelled_as_iso made of the text.
#}
{% macro read_timestamp(column, kind, iso) -%}
    {%- if kind == 'timestamp' -%}
        {{ plausible_timestamp(column ~ "::timestamp_ntz") }}
    {%- elif kind == 'zoned' -%}
        {{ plausible_timestamp("convert_timezone('UTC', " ~ column ~ ")::timestamp_ntz") }}
    {%- elif kind == 'number' -%}
        {{ unix_time(column) }}
    {%- elif kind in ['text', 'variant'] -%}
        case
            when regexp_like({{ column }}, '[0-9]{9,19}([.][0-9]*)?')
                then {{ unix_time("try_cast(" ~ column ~ " as number(38, 9))") }}
            else {{ plausible_timestamp(parse_utc_timestamp(iso)) }}
        end
    {%- else -%}
        null::timestamp_ntz
    {%- endif -%}
{%- endmacro %}

{# The same text with variants of ISO 8601 normalized: "… UTC", " +0200", "+02", ",123". #}
{% macro spelled_as_iso(text) -%}
    regexp_replace(regexp_replace(regexp_replace(regexp_replace(
        replace(upper({{ text }}), ',', '.'),
        '^"|"$'),
        '[[:space:]]*(UTC|GMT|Z)$', 'Z'),
        '[[:space:]]+([+-][0-9:]+)$', '\\1'),
        '(:[0-9]{2}:[0-9]{2})([.][0-9]+)?([+-][0-9]{2})$', '\\1\\2\\3:00')
{%- endmacro %}

{% macro plausible_timestamp(value) -%}
    case
        when {{ value }} >= '2000-01-01'::timestamp_ntz and {{ value }} < '2100-01-01'::timestamp_ntz
            then {{ value }}
    end
{%- endmacro %}

{# TIMESTAMP_NTZ of Unix time in the unit that fits its size. #}
{% macro unix_time(number) -%}
    dateadd('microsecond', case
        {%- for microseconds in ['1000000', '1000', '1', '0.001'] %}
        {%- set a_second = 1000000 / (microseconds | float) %}
        when
            {{ number }} >= {{ '%.0f' % (946684800 * a_second) }}
            and {{ number }} < {{ '%.0f' % (4102444800 * a_second) }}
            then {{ 'floor' if loop.last else 'round' }}({{ number }} * {{ microseconds }})
        {%- endfor %}
    end::number(38, 0), '1970-01-01'::timestamp_ntz)
{%- endmacro %}

{#
    Value of a column as one of the types of replica_tables. Text in bytes is UTF-8, as the LMS
    writes it.
#}
{% macro read_value(type, column, kind, iso) -%}
    {%- if type == 'integer' -%}{{ read_integer(column, kind) }}
    {%- elif type == 'boolean' -%}{{ read_boolean(column, kind) }}
    {%- elif type == 'timestamp' -%}{{ read_timestamp(column, kind, iso) }}
    {%- elif type == 'fraction' -%}{{ read_fraction(column, kind) }}
    {%- elif type == 'uuid' -%}{{ read_uuid(column, kind) }}
    {%- elif type == 'json' -%}{{ read_json(column, kind) }}
    {%- elif kind == 'binary' -%}hex_decode_string(hex_encode({{ column }}))
    {%- else -%}{{ column }}::varchar
    {%- endif -%}
{%- endmacro %}
