{% set paths = [
    'name', 'event_type', 'event_source', 'time', 'event', 'agent', 'host', 'page',
    'context.user_id', 'context.course_id', 'context.received_at',
] %}
{% set new_style_run = '(course|ccx)-v1:[^/+[:space:]]+[+][^/+[:space:]]+[+][^/?&#[:space:]]+' %}
{% set old_style_run = '[^/+:[:space:]]+/[^/+[:space:]]+/[^/?&#+[:space:]]+' %}
{# Whitespace that logs leave around values; TRIM alone takes only spaces. #}
{% set edges = "'^[[:space:]]+|[[:space:]]+$'" %}

with

source as (
    select * from {{ source('tracking', 'tracking_logs') }}
),

-- A logger may write its own prefix before the object.
objects as (
    select
        line as raw_line,
        coalesce(file_name, '') as file_name,
        loaded_at,
        case
            when startswith(line, '{') then line
            when position('{' in line) > 0 then substr(line, position('{' in line))
        end as object_text
    from source
),

-- NUL padding and a brace in the prefix are rare: they get a second attempt, not a cost on every
-- line.
parsed as (
    select
        raw_line,
        file_name,
        loaded_at,
        coalesce(
            {{ json_document('object_text') }},
            {{ json_document(
                "replace(substr(object_text, position('{\"' in object_text)), chr(0), '')"
            ) }}
        ) as document
    from objects
),

picked as (
    select
        raw_line,
        file_name,
        loaded_at,
        document is null as is_unreadable,
        {{ json_texts('document', paths) }} as fields
    from parsed
),

texts as (
    select
        raw_line,
        file_name,
        loaded_at,
        is_unreadable,
        nullif({{ json_text('fields', paths, 'name') }}, '') as name_text,
        nullif({{ json_text('fields', paths, 'event_type') }}, '') as type_text,
        {{ json_text('fields', paths, 'event_source') }} as event_source,
        {{ json_text('fields', paths, 'time') }} as time_text,
        {{ json_text('fields', paths, 'event') }} as payload_text,
        {{ json_text('fields', paths, 'agent') }} as agent,
        {{ json_text('fields', paths, 'host') }} as host,
        {{ json_text('fields', paths, 'page') }} as page,
        nullif(
            regexp_replace({{ json_text('fields', paths, 'context.user_id') }}, {{ edges }}), ''
        ) as user_text,
        nullif(
            regexp_replace({{ json_text('fields', paths, 'context.course_id') }}, {{ edges }}), ''
        ) as course_text,
        {{ json_text('fields', paths, 'context.received_at') }} as received_text
    from picked
),

decoded as (
    select
        *,
        {% if var('course_from_url') %}
        -- The server logs the path of a request as the event, the browser the page it is on.
        {{ decoded_courserun("replace(case event_source "
            ~ "when 'server' then coalesce(name_text, type_text) when 'browser' then page "
            ~ "end, '%40', '@')") }} as url_text,
        {% endif %}
        {{ decoded_courserun('course_text') }} as decoded_course_text
    from texts
),

located as (
    select
        *,
        {% if var('course_from_url') %}
        coalesce(decoded_course_text, {{ courserun_in_url('url_text') }}) as found_course_text
        {% else %}
        decoded_course_text as found_course_text
        {% endif %}
    from decoded
),

final as (
    select
        -- where the line came from
        file_name,
        loaded_at,
        raw_line,
        is_unreadable,

        -- what happened
        coalesce(name_text, type_text) as event_name,
        nullif(type_text, name_text) as legacy_event_type,
        event_source,
        payload_text,
        agent,
        host,
        page,

        -- who, where, when; NULL beside a text means that the text is unusable
        user_text,
        case
            when regexp_like(user_text, '0*[1-9][0-9]{0,17}')
                then try_cast(user_text as number(38, 0))
        end as user_id,
        course_text,
        case
            when
                length(found_course_text) <= 255
                and regexp_like(
                    found_course_text, '{{ new_style_run }}|{{ old_style_run }}'
                )
                then found_course_text
        end as courserun_key,
        {{ parse_utc_timestamp('time_text') }} as event_at,
        {{ parse_utc_timestamp('received_text') }} as received_at
    from located
)

select * from final
