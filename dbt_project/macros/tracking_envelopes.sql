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
    True for text that breaks off in its only event, as the short copies do that shippers put
    beside a message. Never for text that ends in a brace, nor for one whose braces are paired.
#}
{% macro is_cut_short(text) -%}
    (
        not regexp_like({{ text }}, '.*[}]["[:space:]]*', 's')
        and length(replace({{ text }}, '{', '')) < length(replace({{ text }}, '}', ''))
        and not regexp_like({{ text }}, '.*event_source.*event_source.*', 's')
    )
{%- endmacro %}

{#
    Elements of a list, or values of an object, that have events in them; without those that are
    cut short where is_whole is true. Embedded branch: as texts.
#}
{% macro texts_with_events(document, is_whole) -%}
    list_filter(
        case
            when startswith({{ document }}, '[')
                then json_extract_string({{ document }}, '$[*]')
            else json_extract_string({{ document }}, '$.*')
        end,
        child -> {{ is_text_with_event('child', is_whole) }}
    )
{%- endmacro %}

{#
    The same in Snowflake's branch: positions in a list, or names in an object. FILTER documents
    columns in lambdas. OBJECT_KEYS and positions are asked of nothing but their own kind; no tuple is near 64 long.
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

{% macro is_text_with_event(text, is_whole) -%}
    {{ has_event_source(text) }}
    {%- if is_whole %} and not {{ is_cut_short(text) }}{% endif %}
{%- endmacro %}

{#
    Text of the only field of an envelope, or of the only element of a tuple, that has an event in
    it; NULL without one, and for an event. A source that the LMS does not have is the envelope's
    own.
#}
{% macro enveloped_text(document) -%}
    {%- set sources = ['event_source'] -%}
    {%- set source = json_text(json_texts(document, sources), sources, 'event_source') -%}
    {%- set text = document if target.name == 'embedded' else document ~ '::varchar' -%}
    case
        when not contains({{ text }}, 'event_source') then null
        when {{ is_tracking_event(document) }} and {{ is_source_of_the_lms(source) }} then null
        when {{ is_list_of_records(document) }} then null
        else coalesce(
            {%- for is_whole in [true, false] %}
            {%- if target.name == 'embedded' %}
            list_extract({{ texts_with_events(document, is_whole) }}, 1)::varchar
            {%- else %}
            get({{ document }}, {{ positions_with_events(document, is_whole) }}[0]::integer)::varchar,
            get({{ document }}, {{ names_with_events(document, is_whole) }}[0]::varchar)::varchar
            {%- endif %}
            {{- ',' if not loop.last }}
            {%- endfor %}
        )
    end
{%- endmacro %}

{# True for the sources that events of the LMS have. #}
{% macro is_source_of_the_lms(source) -%}
    coalesce({{ source }}, '') in ('browser', 'mobile', 'server', 'task')
{%- endmacro %}

{# True for a list whose first element is or holds an object; a list with less there is a tuple. #}
{% macro begins_with_a_record(document) -%}
    {%- if target.name == 'embedded' -%}
        coalesce(
            startswith({{ document }}, '[')
            and contains(json_extract_string({{ document }}, '$[0]'), '{'),
            false
        )
    {%- else -%}
        coalesce(is_array({{ document }}) and contains({{ document }}[0]::varchar, '{'), false)
    {%- endif -%}
{%- endmacro %}

{#
    True for a list of objects or of texts with objects; a list that begins with less is a tuple.
    Several events in the elements of a tuple, or in the fields of an envelope, are a list, too:
    none of them may be left out.
#}
{% macro is_list_of_records(document) -%}
    {%- set sources = ['event_source'] -%}
    {%- set source = json_text(json_texts(document, sources), sources, 'event_source') -%}
    {%- set text = document if target.name == 'embedded' else document ~ '::varchar' -%}
    coalesce(case
        when not contains({{ text }}, 'event_source') then false
        when {{ begins_with_a_record(document) }} then true
        when {{ is_tracking_event(document) }} and {{ is_source_of_the_lms(source) }} then false
        {%- if target.name == 'embedded' %}
        else array_length({{ texts_with_events(document, is_whole=true) }}) > 1
        {%- else %}
        when is_array({{ document }})
            then array_size({{ positions_with_events(document, is_whole=true) }}) > 1
        else array_size({{ names_with_events(document, is_whole=true) }}) > 1
        {%- endif %}
    end, false)
{%- endmacro %}

{#
    SELECT of a relation with one row per element of its lists (is_list), and the other rows as
    they are. Adds element: number of the element (2 for any after the first, where Snowflake has
    no index), a colon and its text; NULL where there is none.
    The elements of an envelope or a tuple are what has events in it.
#}
{% macro with_elements(relation) -%}
    {%- set document = relation ~ '.document' -%}
    {%- if target.name == 'embedded' -%}
        select
            *,
            unnest(case
                when is_list
                    then list_transform(
                        case
                            when {{ begins_with_a_record('document') }}
                                then json_extract_string(document, '$[*]')
                            else {{ texts_with_events('document', is_whole=true) }}
                        end,
                        (child, number) -> number || ':' || coalesce(child, '')
                    )
                else [null::varchar]
            end) as element
        from {{ relation }}
    {%- else -%}
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
    {%- endif -%}
{%- endmacro %}
