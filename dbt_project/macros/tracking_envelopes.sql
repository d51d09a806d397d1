{#
    Tracking events unwrapped from log shipper envelopes.

    A line may contain the event itself, an envelope with the event as an object or as text, a list,
    or several objects without a newline between them. These are the line's records; nearly every
    line is one record and then costs no more than a check of its flags.

    Events are recognized by the field event_source, which every tracking event has and no envelope
    has.
#}

{#
    Marks where a comma was inserted between two objects. Whitespace outside a string has no effect,
    and inside one it is found and removed again: a string that contains "}{" stays unchanged.
#}
{% macro record_separator() -%}
    {{ return('           ,             ') }}
{%- endmacro %}

{# The objects that make up a text as one JSON list; NULL when anything follows the last. #}
{% macro json_list_of_objects(text) -%}
    case
        when
            regexp_like({{ text }}, '[^{]*[{].*[}][],[:space:]]*', 's')
            and position('{{ record_separator() }}' in {{ text }}) = 0
            then '[' || regexp_replace(
                regexp_substr({{ text }}, '[{].*[}]', 1, 1, 's'),
                '[}]([[:space:]]*)[{]',
                '}\\1{{ record_separator() }}{'
            ) || ']'
    end
{%- endmacro %}

{#
    Object or list in a text that is not one from its first brace on; NULL when there is none. In
    this order: a list, a brace in the logger's prefix and NUL padding, concatenated objects, JSON
    in a string, half of a surrogate pair (read as U+FFFD, as it would be displayed).
#}
{% macro json_in_text(text) -%}
    {%- set object = 'substr(' ~ text ~ ", position('{' in " ~ text ~ '))' -%}
    {%- set object_with_a_key = 'substr(' ~ text ~ ", position('{\"' in " ~ text ~ '))' -%}
    {%- set escaped = "regexp_substr(substr(" ~ text ~ ", position('{' || chr(92), " ~ text
        ~ ")), '[{].*[}]', 1, 1, 's')" -%}
    case
        when position('{' in {{ text }}) > 0
            then coalesce(
                case when startswith(ltrim({{ text }}), '[') then {{ json_document(text) }} end,
                case
                    when position('{"' in {{ text }}) > 0
                        then coalesce(
                            {{ json_document('replace(' ~ object_with_a_key ~ ", chr(0), '')") }},
                            {{ json_document(json_list_of_objects(object_with_a_key)) }}
                        )
                end,
                {{ json_document(json_list_of_objects(text)) }},
                case
                    when position('{' || chr(92), {{ text }}) > 0
                        then {{ json_document(json_unescaped(escaped)) }}
                end,
                {{ json_document(
                    "replace(regexp_replace(replace(" ~ object ~ ", chr(92) || 'u', chr(1)), "
                    ~ "chr(1) || '[dD][89a-fA-F][0-9a-fA-F]{2}', chr(65533)), "
                    ~ "chr(1), chr(92) || 'u')"
                ) }}
            )
    end
{%- endmacro %}

{# True for a document that is a tracking event: it has a source, and a name or type. #}
{% macro is_tracking_event(document) -%}
    {%- set paths = ['event_source', 'name', 'event_type'] -%}
    {%- set fields = json_texts(document, paths) -%}
    coalesce(
        {{ json_text(fields, paths, 'event_source') }} is not null
        and coalesce(
            nullif({{ json_text(fields, paths, 'name') }}, ''),
            nullif({{ json_text(fields, paths, 'event_type') }}, '')
        ) is not null,
        false
    )
{%- endmacro %}

{# True for text with the field event_source anywhere, however often escaped. #}
{% macro has_event_source(text) -%}
    regexp_like({{ text }}, '.*event_source[^[:alnum:]:,]*"[[:space:]]*:.*', 's')
{%- endmacro %}

{#
    True for text that is cut off inside its only event, like the short copies that shippers add to
    a message. Never for text that ends in a brace or whose braces are balanced.
#}
{% macro is_truncated(text) -%}
    (
        not regexp_like({{ text }}, '.*[}]["[:space:]]*', 's')
        and length(replace({{ text }}, '{', '')) < length(replace({{ text }}, '}', ''))
        and not regexp_like({{ text }}, '.*event_source.*event_source.*', 's')
    )
{%- endmacro %}

{% macro is_text_with_event(text, is_whole) -%}
    {{ has_event_source(text) }}
    {%- if is_whole %} and not {{ is_truncated(text) }}{% endif %}
{%- endmacro %}

{# True for the event sources of the LMS. #}
{% macro is_source_of_the_lms(source) -%}
    coalesce({{ source }}, '') in ('browser', 'mobile', 'server', 'task')
{%- endmacro %}

{# True for an event without an envelope; a source unknown to the LMS belongs to an envelope. #}
{% macro is_event_of_the_lms(document) -%}
    {{ is_tracking_event(document) }}
    and {{ is_source_of_the_lms(json_field(document, 'event_source')) }}
{%- endmacro %}

{#
    True for a document that neither is nor contains an event, and for NULL, which each step would
    otherwise try to unwrap.
#}
{% macro has_no_event(document) -%}
    not coalesce(contains({{ document_text(document) }}, 'event_source'), false)
{%- endmacro %}

{#
    Text of the only field of an envelope, or of the only element of a tuple, that contains an
    event; NULL without one, and for an event.
#}
{% macro enveloped_text(document) -%}
    case
        when {{ has_no_event(document) }} then null
        when {{ is_event_of_the_lms(document) }} then null
        when {{ is_list_of_records(document) }} then null
        else coalesce(
            {{ first_text_with_event(document, is_whole=true) }},
            {{ first_text_with_event(document, is_whole=false) }}
        )
    end
{%- endmacro %}

{#
    True for a list of objects or of texts with objects; a list that starts with anything else is a
    tuple. Several events in the elements of a tuple, or in the fields of an envelope, are a list
    too: none of them may be left out.
#}
{% macro is_list_of_records(document) -%}
    coalesce(case
        when {{ has_no_event(document) }} then false
        when {{ begins_with_a_record(document) }} then true
        when {{ is_event_of_the_lms(document) }} then false
        else {{ has_several_events(document) }}
    end, false)
{%- endmacro %}

{#
    The common table expressions that unwrap one layer around an event, from `step_<n - 1>` to
    `step_<n>`: the elements of a list become rows, or the field of an envelope becomes the
    document. Rows that are already a bare event pass unchanged.
#}
{% macro step_into_envelopes(number, kind) -%}
    {%- if kind == 'list' -%}
    lists_{{ number }} as (
        select
            *,
            case when is_bare then false else {{ is_list_of_records('document') }} end as is_list
        from step_{{ number - 1 }}
    ),

    elements_{{ number }} as (
        {{ with_elements('lists_' ~ number) }}
    ),

    inner_{{ number }} as (
        select
            raw_line,
            file_name,
            loaded_at,
            is_line_start and coalesce(startswith(element, '1:'), true) as is_line_start,
            document,
            fields,
            is_bare,
            replace(
                substr(element, position(':' in element) + 1), '{{ record_separator() }}', ''
            ) as inner_text
        from elements_{{ number }}
    ),
    {%- else -%}
    inner_{{ number }} as (
        select
            *,
            case when not is_bare then {{ enveloped_text('document') }} end as inner_text
        from step_{{ number - 1 }}
    ),
    {%- endif %}

    read_{{ number }} as (
        select
            *,
            case
                when inner_text is not null
                    then coalesce(
                        {{ json_document("substr(inner_text, position('{' in inner_text))") }},
                        {{ json_in_text('inner_text') }}
                    )
            end as inner_document
        from inner_{{ number }}
    ),

    step_{{ number }} as (
        select
            {{ "coalesce(inner_text, raw_line) as raw_line" if kind == 'list' else 'raw_line' }},
            file_name,
            loaded_at,
            is_line_start,
            case
                when inner_text is null then document
                else {{ with_last_values('inner_document') }}
            end as document,
            fields,
            is_bare
        from read_{{ number }}
    ),
{%- endmacro %}

{# VARCHAR of a parsed document. #}
{% macro document_text(document) -%}
    {{ embedded__document_text(document) if is_embedded() else snowflake__document_text(document) }}
{%- endmacro %}

{% macro snowflake__document_text(document) -%}
    {{ document }}::varchar
{%- endmacro %}

{# True for a list whose first element is or contains an object; any other list is a tuple. #}
{% macro begins_with_a_record(document) -%}
    {{
        embedded__begins_with_a_record(document) if is_embedded()
        else snowflake__begins_with_a_record(document)
    }}
{%- endmacro %}

{% macro snowflake__begins_with_a_record(document) -%}
    coalesce(is_array({{ document }}) and contains({{ document }}[0]::varchar, '{'), false)
{%- endmacro %}

{# The first text in a list or an object that contains an event; NULL without one. #}
{% macro first_text_with_event(document, is_whole) -%}
    {{
        embedded__first_text_with_event(document, is_whole) if is_embedded()
        else snowflake__first_text_with_event(document, is_whole)
    }}
{%- endmacro %}

{% macro snowflake__first_text_with_event(document, is_whole) -%}
    coalesce(
        get({{ document }}, {{ positions_with_events(document, is_whole) }}[0]::integer)::varchar,
        get({{ document }}, {{ names_with_events(document, is_whole) }}[0]::varchar)::varchar
    )
{%- endmacro %}

{# Whether several elements of a list, or values of an object, contain whole events. #}
{% macro has_several_events(document) -%}
    {{
        embedded__has_several_events(document) if is_embedded()
        else snowflake__has_several_events(document)
    }}
{%- endmacro %}

{% macro snowflake__has_several_events(document) -%}
    case
        when is_array({{ document }})
            then array_size({{ positions_with_events(document, is_whole=true) }}) > 1
        else array_size({{ names_with_events(document, is_whole=true) }}) > 1
    end
{%- endmacro %}

{#
    Where Snowflake finds the texts with events: positions in a list, names in an object. Columns in
    lambdas are documented for FILTER. OBJECT_KEYS applies only to objects and positions only to
    lists; no tuple is nearly 64 long.
#}
{% macro positions_with_events(document, is_whole) -%}
    filter(
        array_generate_range(0, case when is_array({{ document }}) then 64 else 0 end),
        place -> {{ is_text_with_event('get(' ~ document ~ ', place::integer)::varchar', is_whole) }}
    )
{%- endmacro %}

{% macro names_with_events(document, is_whole) -%}
    filter(
        object_keys(case when not is_array({{ document }}) then {{ document }} end),
        name -> {{ is_text_with_event('get(' ~ document ~ ', name::varchar)::varchar', is_whole) }}
    )
{%- endmacro %}

{#
    SELECT of a relation with one row per element of its lists (is_list), and the other rows
    unchanged. Adds element: number of the element (2 for any after the first, where Snowflake has
    no index), a colon and its text; NULL when there is none. The elements of an envelope or a tuple
    are those that contain events.
#}
{% macro with_elements(relation) -%}
    {{ embedded__with_elements(relation) if is_embedded() else snowflake__with_elements(relation) }}
{%- endmacro %}

{% macro snowflake__with_elements(relation) -%}
    {%- set document = relation ~ '.document' -%}
    {%- set value = 'records.value::varchar' -%}
    {%- set place = 'try_cast(' ~ value ~ ' as integer)' -%}
    select
        {{ relation }}.*,
        case
            when not {{ relation }}.is_list then null
            when {{ begins_with_a_record(document) }}
                then (records.index + 1) || ':' || coalesce({{ value }}, '')
            when is_array({{ document }})
                then
                    iff(
                        {{ place }}
                        = {{ positions_with_events(document, is_whole=true) }}[0]::integer,
                        '1:',
                        '2:'
                    )
                    || get({{ document }}, {{ place }})::varchar
            else
                iff(
                    records.key
                    = {{ names_with_events(document, is_whole=true) }}[0]::varchar,
                    '1:',
                    '2:'
                )
                || {{ value }}
        end as element
    from
        {{ relation }},
        lateral flatten(
            input => case
                when not {{ relation }}.is_list then parse_json('[0]')
                when is_array({{ document }}) and not {{ begins_with_a_record(document) }}
                    then {{ positions_with_events(document, is_whole=true) }}::variant
                else {{ document }}
            end
        ) as records
    where
        not {{ relation }}.is_list
        or is_array({{ document }})
        or ({{ is_text_with_event(value, is_whole=true) }})
{%- endmacro %}
