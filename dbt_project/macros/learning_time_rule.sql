{#
    The rule of learning time: every parameter that affects stored rows.

    The incremental models keep rows from one run to the next, so a changed parameter would mix two
    rules in one history. Each row therefore has the version of the rule it follows, and a run with
    a different version fails before it writes anything.
#}

{# Mapping of parameter to validated value; the seed is included as the checksum of its file. #}
{% macro learning_time_parameters() -%}
    {%- set timeout = var('session_timeout_seconds') | int -%}
    {%- if not 0 < timeout <= 86400 -%}
        {{ exceptions.raise_compiler_error(
            'session_timeout_seconds is ' ~ timeout ~ ' and must be 1 to 86400: '
            ~ 'a counted gap is split at one midnight'
        ) }}
    {%- endif -%}
    {%- if not 0 <= var('tail_seconds') | int <= timeout -%}
        {{ exceptions.raise_compiler_error(
            'tail_seconds is ' ~ var('tail_seconds') ~ ' and must be 0 to session_timeout_seconds'
        ) }}
    {%- endif -%}
    {%- for parameter, choices in {
        'long_gap_rule': ['drop', 'cap'],
        'event_selection': ['allowlist', 'denylist'],
    }.items() -%}
        {%- if var(parameter) not in choices -%}
            {{ exceptions.raise_compiler_error(
                parameter ~ ' is ' ~ var(parameter) ~ ' and must be one of ' ~ choices | join(', ')
            ) }}
        {%- endif -%}
    {%- endfor -%}
    {# While dbt parses, and in unit tests, there is no graph. #}
    {%- set seed_id = 'seed.' ~ project_name ~ '.learning_event_patterns' -%}
    {%- set seed = graph.get('nodes', {}).get(seed_id, {}) -%}
    {{ return({
        'clock_future_tolerance_seconds': var('clock_future_tolerance_seconds'),
        'clock_past_tolerance_days': var('clock_past_tolerance_days'),
        'course_from_url': var('course_from_url'),
        'earliest_event_at': var('earliest_event_at') | string,
        'event_selection': var('event_selection'),
        'learning_event_patterns': seed.get('checksum', {}).get('checksum', ''),
        'long_gap_rule': var('long_gap_rule'),
        'long_video_option': var('long_video_option'),
        'session_timeout_seconds': timeout,
        'studio_host_pattern': var('studio_host_pattern'),
        'tail_seconds': var('tail_seconds') | int,
        'timezone': var('timezone'),
    }) }}
{%- endmacro %}

{# SQL text of the version: 8 characters that identify this set of values. #}
{% macro rule_version() -%}
    '{{ local_md5(learning_time_parameters() | string)[:8] }}'
{%- endmacro %}

{#
    Stop this run when the table follows another rule. One row is enough: no run adds rows to a
    table of another rule, and one row means one partition to read.
#}
{% macro stop_unless_one_rule(relation) -%}
    {%- if execute -%}
        {%- set stored = run_query('select rule_version from ' ~ relation ~ ' limit 1') -%}
        {%- set version = rule_version() | replace("'", '') -%}
        {%- if stored.rows | length > 0 and stored.rows[0][0] != version -%}
            {{ exceptions.raise_compiler_error(
                relation.identifier ~ ' was built under rule ' ~ stored.rows[0][0]
                ~ ', and the vars and the seed of this run make rule '
                ~ version ~ ': ' ~ learning_time_parameters()
                ~ '. Publish the change and run once with --full-refresh, or take it back;'
                ~ ' the mart learning_time_parameters has the values in use.'
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
