{# A lookup key on both sides turns the prefix match into a hash join. #}
{% set key_length = 6 %}
{% set bots = [
    'bot', 'crawl', 'spider', 'slurp', 'facebookexternalhit', 'curl/', 'wget', 'python-requests',
    'go-http', 'libwww', 'healthcheck', 'googlehc', 'kube-probe', 'pingdom', 'zgrab', 'masscan',
    'nikto', 'sqlmap', 'nessus', 'qualys', 'nmap',
] %}
{% set polls = [
    'list_instructor_tasks', 'list_report_downloads', 'save_user_state', '/notifier_api/',
    '/heartbeat', 'xdomain_proxy', 'jsi18n', '/instructor', '/admin/',
] %}
{# Paths of the authoring site, on any host. Learners use /course/<run>/<page>. #}
{% set authoring = [
    '(course-authoring|authoring|preview|container|container_embed|settings|library|orphan)/.*',
    '(course_info|course_team|course_rerun|course_notifications|assets|import|import_status'
    ~ '|export|export_status|export_output|tabs|textbooks|videos|video_images|group_configurations'
    ~ '|certificates|checklists|utilities|transcript_preferences)/(course|ccx|library)-v1:.*',
    'course/[^/?#]+/?([?#].*|search_reindex.*)?',
    'xblock/(outline|container)/.*',
    'xblock/[^/]+/(studio_view|author_view|container_preview|container_child_preview'
    ~ '|reorderable_container_child_preview|visibility_view|editor|outline|container)([/?#].*)?',
    'api/contentstore/.*',
] | join('|') %}

with

events as (
    select * from {{ ref('stg_tracking__events') }}
),

exact_patterns as (
    select * from {{ ref('learning_event_patterns') }}
    where match_type = 'exact'
),

prefix_patterns as (
    select
        *,
        left(pattern, {{ key_length }}) as pattern_key
    from {{ ref('learning_event_patterns') }}
    where match_type = 'prefix'
),

-- A line has a name and, if different, a legacy type: either may match.
matched as (
    select
        events.*,
        coalesce(
            exact_names.category, exact_types.category,
            prefix_names.category, prefix_types.category
        ) as event_category,
        -- An exact pattern is more specific; between name and type, an exclusion wins.
        least(
            coalesce(exact_names.is_learning, prefix_names.is_learning, true)::int,
            coalesce(exact_types.is_learning, prefix_types.is_learning, true)::int
        ) = 0 as is_excluded
    from events
    left join exact_patterns as exact_names
        on events.event_name = exact_names.pattern
    left join exact_patterns as exact_types
        on events.legacy_event_type = exact_types.pattern
    left join prefix_patterns as prefix_names
        on
            left(events.event_name, {{ key_length }}) = prefix_names.pattern_key
            and startswith(events.event_name, prefix_names.pattern)
    left join prefix_patterns as prefix_types
        on
            left(events.legacy_event_type, {{ key_length }}) = prefix_types.pattern_key
            and startswith(events.legacy_event_type, prefix_types.pattern)
),

-- The order is part of the definition: each line is counted under its first reason.
screened as (
    select
        *,
        case
            when is_unreadable and coalesce(position('{' in raw_line), 0) = 0
                then 'line_without_object'
            when is_unreadable then 'line_unreadable'
            {{ when_erased('user_id') }}
            when not is_event then 'line_not_an_event'
            when coalesce(event_source, '') not in ('browser', 'mobile', 'server')
                then 'source_not_activity'
            when is_context_unreadable then 'context_unreadable'
            when user_text is null then 'user_missing'
            when user_id is null then 'user_unusable'
            when courserun_key is null and course_text is null then 'courserun_missing'
            when courserun_key is null then 'courserun_unusable'
            when is_time_impossible then 'time_impossible'
            when event_at is null then 'time_unusable'
            when
                event_at > dateadd(
                    second,
                    {{ var('clock_future_tolerance_seconds') }},
                    coalesce(received_at, loaded_at)
                )
                then 'time_in_future'
            when
                event_source = 'mobile'
                and event_at < dateadd(day, -{{ var('clock_past_tolerance_days') }}, received_at)
                then 'time_too_old'
            when is_excluded then 'event_excluded'
            -- CUBOT is a brand of mobile devices.
            when
                regexp_like(
                    replace(lower(agent), 'cubot', ''), '.*({{ bots | join("|") }}).*', 's'
                )
                then 'bot'
            when
                regexp_like(host, '{{ var("studio_host_pattern") }}', 'i')
                or regexp_like(page, 'https?://{{ var("studio_host_pattern") }}', 'is')
                or (
                    startswith(event_name, '/')
                    and regexp_like(event_name, '/({{ authoring }})', 's')
                )
                or regexp_like(page, 'https?://[^/]+/({{ authoring }})', 's')
                then 'studio'
            {% if var('course_from_url') %}
            -- Only the URL names their run, as in every request of an open dashboard.
            when
                course_text is null
                and (
                    regexp_like(event_name, '.*({{ polls | join("|") }}).*', 's')
                    or regexp_like(page, '.*({{ polls | join("|") }}).*', 's')
                )
                then 'background_poll'
            {% endif %}
            when event_category is not null then 'learning'
            {% if var('event_selection') == 'denylist' %}
            when
                regexp_like(event_name, '.*({{ polls | join("|") }}).*', 's')
                then 'background_poll'
            when event_name is not null then 'learning'
            {% endif %}
            when startswith(event_name, '/') then 'page_request'
            else 'event_not_selected'
        end as screening
    from matched
),

final as (
    select
        file_name,
        loaded_at,
        raw_line,
        is_line_start,
        screening,
        case
            when screening = 'learning' then 'learning'
            when
                screening in (
                    'line_without_object', 'line_unreadable', 'line_not_an_event',
                    'context_unreadable', 'courserun_unusable', 'time_impossible',
                    'time_unusable', 'time_in_future', 'time_too_old'
                )
                then 'quarantined'
            else 'dropped'
        end as outcome,
        event_name,
        event_source,
        coalesce(event_category, 'other') as event_category,
        user_id,
        courserun_key,
        event_at,
        received_at,
        payload_text
    from screened
)

select * from final
