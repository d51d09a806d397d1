{#
    TIMESTAMP_NTZ in UTC, at most microseconds, from ISO 8601 text; NULL for anything else.

    Accepts "T" or a space, any fraction or none, "Z", "+hh:mm", "+hhmm" or no offset (UTC). The
    pattern is checked before the cast because the engines disagree about everything it rejects:
    epoch digits, dates alone, a missing offset (Snowflake would apply the session's zone), second
    60.
#}
{% macro parse_utc_timestamp(text) -%}
    {%- set date_and_time -%}
        [0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?
    {%- endset -%}
    {%- set offset = '[+-](0[0-9]|1[0-4])' -%}
    convert_timezone('UTC', try_cast(case
        when regexp_like({{ text }}, '{{ date_and_time }}{{ offset }}:[0-5][0-9]')
            then {{ cut_to_microseconds(text) }}
        when regexp_like({{ text }}, '{{ date_and_time }}Z?')
            then {{ cut_to_microseconds("replace(" ~ text ~ ", 'Z', '')") }} || '+00:00'
        when regexp_like({{ text }}, '{{ date_and_time }}{{ offset }}[0-5][0-9]')
            then {{ cut_to_microseconds(
                "left(" ~ text ~ ", length(" ~ text ~ ") - 2) || ':' || right(" ~ text ~ ", 2)"
            ) }}
    end as timestamp_tz))::timestamp_ntz
{%- endmacro %}

{# ISO 8601 text without fractional digits that only one of the engines keeps. #}
{% macro cut_to_microseconds(text) -%}
    regexp_replace({{ text }}, '([.][0-9]{6})[0-9]+', '\\1')
{%- endmacro %}

{# TIMESTAMP_NTZ in UTC before which no tracking log was written. #}
{% macro earliest_event() -%}
    '{{ var("earliest_event_at") }}'::timestamp_ntz
{%- endmacro %}

{#
    TIMESTAMP_NTZ in UTC of the load time of a raw line, for any column type the loader chose: with
    a zone, or text with or without an offset (none is UTC). NULL for text that is not a time, which
    stops the marts (possible_load_time). A cast alone would drop the offset.
#}
{% macro load_time(column) -%}
    {%- set kinds = {} -%}
    {%- if execute -%}
        {%- set logs = api.Relation.create(
            database=var('tracking_database'), schema=var('tracking_schema'),
            identifier='tracking_logs'
        ) -%}
        {%- for one in adapter.get_columns_in_relation(logs) -%}
            {%- do kinds.update({one.name | lower: kind_of_type(one.dtype)}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set kind = kinds.get('loaded_at', 'timestamp') -%}
    {%- if kind == 'zoned' -%}
        convert_timezone('UTC', {{ column }})::timestamp_ntz
    {%- elif kind == 'text' -%}
        {{ parse_utc_timestamp(spelled_as_iso(column)) }}
    {%- else -%}
        {{ column }}::timestamp_ntz
    {%- endif -%}
{%- endmacro %}
