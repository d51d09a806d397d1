{#
    One row per record. A line is one record unless it is a list or several concatenated objects.
#}
{% set paths = [
    'name', 'event_type', 'event_source', 'time', 'event', 'agent', 'host', 'page',
    'context.user_id', 'context.course_id', 'context.received_at', 'context.path',
] %}
{% set context_paths = ['user_id', 'course_id', 'received_at', 'path'] %}
{% set new_style_run = '(course|ccx)-v1:[^/+[:space:]]+[+][^/+[:space:]]+[+][^/?&#[:space:]]+' %}
{% set old_style_run = '[^/+:[:space:]]+/[^/+[:space:]]+/[^/?&#+[:space:]]+' %}
{% set run = new_style_run ~ '|' ~ old_style_run %}
{# Whitespace that logs leave around values; TRIM alone takes only spaces. #}
{% set edges = "'^[[:space:]]+|[[:space:]]+$'" %}
{# Enough for concatenated Docker logs in a shipper's message in a stream's list. #}
{% set steps = ['list', 'field', 'field', 'list', 'field', 'list', 'field', 'field', 'field'] %}

with

source as (
    select * from {{ source('tracking', 'tracking_logs') }}
),

-- A logger may write its own prefix before the object.
lines as (
    select
        line as raw_line,
        coalesce(file_name, '') as file_name,
        {{ load_time('loaded_at') }} as loaded_at,
        case
            when startswith(line, '{') then line
            when position('{' in line) > 0 then substr(line, position('{' in line))
        end as object_text
    from source
),

objects as (
    select
        raw_line,
        file_name,
        loaded_at,
        {{ json_with_last_values('object_text') }} as object_document
    from lines
),

searched as (
    select
        *,
        case when object_document is null then {{ json_in_text('raw_line') }} end
            as document_in_text
    from objects
),

whole as (
    select
        raw_line,
        file_name,
        loaded_at,
        coalesce(
            object_document,
            case
                when document_in_text is not null
                    then {{ with_last_values('document_in_text') }}
            end
        ) as document
    from searched
),

picked as (
    select
        *,
        {{ json_texts('document', paths) }} as fields
    from whole
),

-- Nearly every line is an event by now; only the others are unwrapped, one step at a time.
step_0 as (
    select
        raw_line,
        file_name,
        loaded_at,
        true as is_line_start,
        document,
        fields,
        coalesce(
            {{ is_source_of_the_lms(json_text('fields', paths, 'event_source')) }}
            and coalesce(
                nullif({{ json_text('fields', paths, 'name') }}, ''),
                nullif({{ json_text('fields', paths, 'event_type') }}, '')
            ) is not null,
            false
        ) as is_bare
    from picked
),

{% for kind in steps %}
{{ step_into_envelopes(loop.index, kind) }}
{% endfor %}

opened as (
    select
        raw_line,
        file_name,
        loaded_at,
        is_line_start,
        document is null as is_unreadable,
        case
            when is_bare then true
            when document is null then false
            else {{ is_tracking_event('document') }}
        end as is_event,
        document,
        case
            when is_bare or document is null then fields
            else {{ json_texts('document', paths) }}
        end as fields
    from step_{{ steps | length }}
),

extracted as (
    select
        raw_line,
        file_name,
        loaded_at,
        is_line_start,
        is_unreadable,
        is_event,
        document,
        nullif({{ json_text('fields', paths, 'name') }}, '') as name_text,
        nullif({{ json_text('fields', paths, 'event_type') }}, '') as type_text,
        {{ json_text('fields', paths, 'event_source') }} as event_source,
        {{ json_text('fields', paths, 'time') }} as time_text,
        {{ json_text('fields', paths, 'event') }} as payload_text,
        {{ json_text('fields', paths, 'agent') }} as agent,
        {{ json_text('fields', paths, 'host') }} as host,
        {{ json_text('fields', paths, 'page') }} as page,
        {{ json_text('fields', paths, 'context.user_id') }} as user_field,
        {{ json_text('fields', paths, 'context.course_id') }} as course_field,
        {{ json_text('fields', paths, 'context.received_at') }} as received_field,
        {{ json_text('fields', paths, 'context.path') }} as path_field
    from opened
),

-- A context without a learner and course run may be written as text.
contexts as (
    select
        *,
        case
            when user_field is null and course_field is null and received_field is null
                then {{ json_field('document', 'context') }}
        end as context_text
    from extracted
),

read_contexts as (
    select
        *,
        case when startswith(context_text, '{') then {{ json_with_last_values('context_text') }} end
            as context_document
    from contexts
),

picked_contexts as (
    select
        *,
        {{ json_texts('context_document', context_paths) }} as context_fields
    from read_contexts
),

texts as (
    select
        *,
        context_text is not null and context_document is null as is_context_unreadable,
        nullif(regexp_replace(
            coalesce(user_field, {{ json_text('context_fields', context_paths, 'user_id') }}),
            {{ edges }}
        ), '') as user_text,
        nullif(regexp_replace(
            coalesce(course_field, {{ json_text('context_fields', context_paths, 'course_id') }}),
            {{ edges }}
        ), '') as course_text,
        coalesce(
            received_field, {{ json_text('context_fields', context_paths, 'received_at') }}
        ) as received_text,
        coalesce(
            path_field, {{ json_text('context_fields', context_paths, 'path') }}
        ) as path_text
    from picked_contexts
),

-- Requests outside course pages name their course in the payload.
payloads as (
    select
        *,
        case
            when course_text is null and contains(payload_text, 'course_id')
                then {{ json_with_last_values('payload_text') }}
        end as payload_document
    from texts
),

payload_courses as (
    select
        *,
        regexp_replace({{ json_field('payload_document', 'course_id') }}, {{ edges }})
            as payload_course_field
    from payloads
),

decoded as (
    select
        *,
        {% if var('course_from_url') %}
        -- The server logs the request path as the event name; other sources log the page.
        {{ decoded_courserun("replace(split_part(split_part(case "
            ~ "when event_source <> 'server' then page "
            ~ "when startswith(coalesce(name_text, type_text), '/') "
            ~ "then coalesce(name_text, type_text) else path_text "
            ~ "end, '?', 1), '#', 1), '%40', '@')") }} as url_text,
        {% endif %}
        {{ decoded_courserun('course_text') }} as decoded_course_text,
        {{ decoded_courserun('payload_course_field') }} as payload_course_text
    from payload_courses
),

located as (
    select
        *,
        coalesce(
            decoded_course_text,
            case when regexp_like(payload_course_text, '{{ run }}') then payload_course_text end
            {%- if var('course_from_url') %},
            {{ courserun_in_url('url_text') }}
            {%- endif %}
        ) as found_course_text
    from decoded
),

timed as (
    select
        *,
        {{ parse_utc_timestamp('time_text') }} as written_at,
        {{ parse_utc_timestamp('received_text') }} as written_received_at
    from located
),

final as (
    select
        -- where the line came from
        file_name,
        loaded_at,
        raw_line,
        is_line_start,
        is_unreadable,
        is_event,
        is_context_unreadable,

        -- what happened
        coalesce(name_text, type_text) as event_name,
        nullif(type_text, name_text) as legacy_event_type,
        event_source,
        payload_text,
        agent,
        host,
        page,

        -- who, where, when; NULL next to a text means that the text is unusable
        user_text,
        -- JSON has one kind of number: 12.0 is the same id as 12.
        case
            when regexp_like(user_text, '0*[1-9][0-9]{0,17}([.]0+)?')
                then try_cast(split_part(user_text, '.', 1) as number(38, 0))
        end as user_id,
        course_text,
        case
            when length(found_course_text) <= 255 and regexp_like(found_course_text, '{{ run }}')
                then found_course_text
        end as courserun_key,
        case when written_at >= {{ earliest_event() }} then written_at end as event_at,
        coalesce(written_at < {{ earliest_event() }}, false) as is_time_impossible,
        -- A receipt before the first logs or after the load is invalid.
        case
            when
                written_received_at >= {{ earliest_event() }}
                and written_received_at <= dateadd(
                    second, {{ var('clock_future_tolerance_seconds') }}, loaded_at
                )
                then written_received_at
        end as received_at
    from timed
)

select * from final
