{#
    Watermark   loaded_at, the load time of a batch. Never event time: a late line, a line that
                ties with the newest one, or one from a clock ahead would be lost.
    Lookback    batches of the last `late_arrival_days` before the newest processed one, and only
                those whose number of lines has changed. A batch is one file with one load time.
                So nothing is read twice, and a batch that commits late is found. A line may
                contain several records; lines are counted by the first of each.
    Invalid     a change of the seed or of a rule in `vars` needs one --full-refresh; without it,
                this model fails. So does the deletion of raw lines (docs/learning-time.md).
                Arriving data never does.
    Backfill    a batch older than the lookback: --vars '{late_arrival_days: 400}' for one run.
#}
{{ config(materialized='incremental', unique_key=['file_name', 'loaded_at']) }}

{% set plays = ['play_video', 'edx.video.played'] %}
{% set stops = [
    'pause_video', 'edx.video.paused', 'stop_video', 'edx.video.stopped',
    'seek_video', 'edx.video.position.changed',
] %}
{% set arrived = ref('stg_tracking__lines') %}
{% set is_increment = is_incremental() and execute %}
{% if is_increment %}
{{ stop_unless_one_rule(this) }}
{% set batches = changed_batches(arrived, this) %}
{% endif %}

with

lines as (
    select * from {{ ref('int_tracking_events_screened') }}
    {% if is_increment %}
    where {{ within_batches(batches) }}
    {% endif %}
),

{% if is_increment %}

changed_batches as (
    {{ batches }}
),

-- Always later than any earlier stamp, even if a clock went back between two runs: downstream
-- models select their increments by it.
stamp as (
    select
        greatest(
            {{ run_stamp() }},
            coalesce(dateadd('microsecond', 1, max(processed_at)), {{ run_stamp() }})
        ) as processed_at
    from {{ this }}
),

new_lines as (
    select
        lines.*,
        stamp.processed_at
    from lines
    inner join changed_batches
        on
            lines.file_name = changed_batches.file_name
            and lines.loaded_at = changed_batches.loaded_at
    cross join stamp
),

{% else %}

new_lines as (
    select
        *,
        {{ run_stamp() }} as processed_at
    from lines
),

{% endif %}

{% if var('long_video_option') %}

played as (
    select
        *,
        case
            when outcome = 'learning' and event_name in ('{{ plays | join("', '") }}')
                then {{ parsed_json('payload_text') }}
        end as played,
        case
            when outcome = 'learning' and event_name in ('{{ stops | join("', '") }}')
                then {{ parsed_json('payload_text') }}
        end as stopped
    from new_lines
),

{% endif %}

final as (
    select
        file_name::varchar as file_name,
        loaded_at,
        processed_at,
        {{ rule_version() }} as rule_version,
        is_line_start,
        outcome,
        screening,
        -- When the line was logged. A mobile device's clock does not show the state of the log, nor
        -- does a clock ahead of the load.
        case
            when outcome = 'quarantined' then null
            when event_source = 'mobile' then received_at
            when
                event_at
                > dateadd(second, {{ var('clock_future_tolerance_seconds') }}, loaded_at)
                then null
            else event_at
        end as logged_at,
        -- For every line that has them, so uncounted lines can be explained to a learner.
        case when screening <> 'user_erased' then user_id end as user_id,
        case when screening <> 'user_erased' then courserun_key end as courserun_key,
        case when outcome = 'learning' then event_at end as event_at,
        case when outcome = 'learning' then event_category end as event_category,
        -- With learner, course run and time, identifies duplicate lines.
        case
            when outcome = 'learning'
                then md5(coalesce(event_name, '') || chr(31) || coalesce(payload_text, ''))
        end as event_key,
        {% if var('long_video_option') %}
        coalesce(played:id::varchar, stopped:id::varchar) as video_id,
        {{ video_position('played:currentTime::varchar') }} as video_played_from,
        -- A seek ends the played stretch at its old time.
        {{ video_position(
            'coalesce(stopped:old_time::varchar, stopped:currentTime::varchar)'
        ) }}
            as video_played_to,
        case when played is not null then {{ video_speed('played:speed::varchar') }} end
            as video_speed,
        {% else %}
        null::varchar as video_id,
        null::number(38, 0) as video_played_from,
        null::number(38, 0) as video_played_to,
        null::number(38, 0) as video_speed,
        {% endif %}
        case
            when screening = 'event_not_selected' then left(event_name, 255)
        end as unselected_event_name,
        case when outcome = 'quarantined' then {{ line_facts('raw_line') }} end as line_excerpt
    from {{ 'played' if var('long_video_option') else 'new_lines' }}
)

select * from final
{{ written_in_order_of('loaded_at') }}
