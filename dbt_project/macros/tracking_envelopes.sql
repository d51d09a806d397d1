{#
    Tracking events out of what log shippers put around them.

    A line may hold the event itself, an envelope with the event in it as an object or as text, a
    list, or several objects without a newline between them. What a line holds are its records; a
    line nearly always is one record, and then costs no more than a look at its flags.

    Everything goes by the field event_source, which every tracking event has and no envelope.
#}

{#
    Stands where a comma was put between two objects. Whitespace outside a string changes nothing,
    and inside one it is found again and taken out: a string that holds "}{" stays as it was.
#}
{% macro record_separator() -%}
    {{ return('           ,             ') }}
{%- endmacro %}

{# The objects that a text consists of as one JSON list; NULL when anything follows the last. #}
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
    Object or list of a text that is neither from its first brace on; NULL when there is none. In
    this order: a list, a brace in the logger's prefix and NUL padding, objects side by side, JSON
    written into a string, half of a surrogate pair (read as U+FFFD, as a reader would see it).
#}
{% macro json_dressed(text) -%}
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

{# True for a document that is a tracking event: it says who emitted it, and what it is. #}
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

{# True for text that has the field event_source somewhere, however often it was escaped. #}
{% macro has_event_source(text) -%}
    regexp_like({{ text }}, '.*event_source[^[:alnum:]:,]*"[[:space:]]*:.*', 's')
{%- endmacro %}

{#
    Text of the only field, or of the second or third element of a tuple, that has an event in it;
    NULL without one, and for an event. A source that the LMS does not have is the envelope's own.
#}
{% macro enveloped_text(document) -%}
    {%- set sources = ['event_source'] -%}
    {%- set source = json_text(json_texts(document, sources), sources, 'event_source') -%}
    {%- if target.name == 'embedded' -%}
        case
            when not contains({{ document }}, 'event_source') then null
            when {{ is_tracking_event(document) }} and {{ is_source_of_the_lms(source) }} then null
            when {{ is_list_of_records(document) }} then null
            when startswith({{ document }}, '[')
                then list_extract(list_filter(
                    json_extract_string({{ document }}, ['$[1]', '$[2]']),
                    child -> {{ has_event_source('child') }}
                ), 1)::varchar
            else list_extract(list_filter(
                json_extract_string({{ document }}, '$.*'),
                child -> {{ has_event_source('child') }}
            ), 1)::varchar
        end
    {%- else -%}
        case
            when not contains({{ document }}::varchar, 'event_source') then null
            when {{ is_tracking_event(document) }} and {{ is_source_of_the_lms(source) }} then null
            when {{ is_list_of_records(document) }} then null
            when {{ has_event_source(document ~ '[1]::varchar') }}
                then {{ document }}[1]::varchar
            when {{ has_event_source(document ~ '[2]::varchar') }}
                then {{ document }}[2]::varchar
            else get({{ document }}, {{ names_of_events(document) }}[0]::varchar)::varchar
        end
    {%- endif -%}
{%- endmacro %}

{# True for the sources that events of the LMS have. #}
{% macro is_source_of_the_lms(source) -%}
    coalesce({{ source }}, '') in ('browser', 'mobile', 'server', 'task')
{%- endmacro %}

{# Names of the fields of a VARIANT that have events in them; Snowflake's branch only. #}
{% macro names_of_events(document) -%}
    filter(
        object_keys({{ document }}),
        name -> {{ has_event_source('get(' ~ document ~ ', name::varchar)::varchar') }}
    )
{%- endmacro %}

{#
    True for a list of objects or of texts with objects; a list that begins with less is a tuple.
    Several events in the elements of a tuple, or in the fields of an envelope, are a list, too:
    none of them may be left out.
#}
{% macro is_list_of_records(document) -%}
    {%- set sources = ['event_source'] -%}
    {%- set source = json_text(json_texts(document, sources), sources, 'event_source') -%}
    {%- if target.name == 'embedded' -%}
        coalesce(case
            when not contains({{ document }}, 'event_source') then false
            when startswith({{ document }}, '[')
                then
                    contains(json_extract_string({{ document }}, '$[0]'), '{')
                    or array_length(list_filter(
                        json_extract_string({{ document }}, ['$[1]', '$[2]']),
                        child -> {{ has_event_source('child') }}
                    )) > 1
            when {{ is_tracking_event(document) }} and {{ is_source_of_the_lms(source) }} then false
            else array_length(list_filter(
                json_extract_string({{ document }}, '$.*'),
                child -> {{ has_event_source('child') }}
            )) > 1
        end, false)
    {%- else -%}
        coalesce(case
            when not contains({{ document }}::varchar, 'event_source') then false
            when is_array({{ document }})
                then
                    contains({{ document }}[0]::varchar, '{')
                    or (
                        {{ has_event_source(document ~ '[1]::varchar') }}
                        and {{ has_event_source(document ~ '[2]::varchar') }}
                    )
            when {{ is_tracking_event(document) }} and {{ is_source_of_the_lms(source) }} then false
            else array_size({{ names_of_events(document) }}) > 1
        end, false)
    {%- endif -%}
{%- endmacro %}

{#
    SELECT of a relation with one row per element of its lists (is_list), and the other rows as
    they are. Adds element: number of the element, a colon and its text; NULL where there is none.
    The elements of an envelope are its fields with events.
#}
{% macro with_elements(relation) -%}
    {%- if target.name == 'embedded' -%}
        select
            *,
            unnest(case
                when is_list
                    then list_transform(
                        case
                            when startswith(document, '[')
                                then json_extract_string(document, '$[*]')
                            else list_filter(
                                json_extract_string(document, '$.*'),
                                child -> {{ has_event_source('child') }}
                            )
                        end,
                        (child, number) -> number || ':' || coalesce(child, '')
                    )
                else [null::varchar]
            end) as element
        from {{ relation }}
    {%- else -%}
        select
            {{ relation }}.*,
            iff(
                {{ relation }}.is_list,
                (child.index + 1) || ':' || coalesce(
                    iff(
                        is_array({{ relation }}.document),
                        child.value::varchar,
                        get(
                            {{ relation }}.document,
                            get({{ names_of_events(relation ~ '.document') }}, child.index)::varchar
                        )::varchar
                    ),
                    ''
                ),
                null
            ) as element
        from
            {{ relation }},
            lateral flatten(
                input => case
                    when not {{ relation }}.is_list then parse_json('[0]')
                    when is_array({{ relation }}.document) then {{ relation }}.document
                    else {{ names_of_events(relation ~ '.document') }}::variant
                end
            ) as child
    {%- endif -%}
{%- endmacro %}
