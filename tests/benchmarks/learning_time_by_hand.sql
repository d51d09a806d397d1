-- Learning time per learner, course run and day in one DuckDB query: what a person would write who
-- needs the number once. The same rules as the models, without any of their bookkeeping (reasons,
-- quarantine, watermark, late data). The allowlist is $seed, the raw lines are raw.tracking.
with

objects as (
    select
        loaded_at,
        case
            when starts_with(line, '{') then line
            when contains(line, '{') then substr(line, instr(line, '{'))
        end as object_text
    from raw.tracking.tracking_logs
),

documents as (
    select
        loaded_at,
        coalesce(
            case when json_valid(object_text) then object_text end,
            case
                when json_valid(replace(substr(object_text, instr(object_text, '{"')), chr(0), ''))
                    then replace(substr(object_text, instr(object_text, '{"')), chr(0), '')
            end
        ) as document
    from objects
),

picked as (
    select
        loaded_at,
        json_extract_string(
            document,
            [
                '$.name', '$.event_type', '$.event_source', '$.time', '$.event', '$.agent',
                '$.host', '$.page', '$.context.user_id', '$.context.course_id',
                '$.context.received_at'
            ]
        ) as f
    from documents
    where document is not null
),

texts as (
    select
        loaded_at,
        coalesce(nullif(f[1], ''), nullif(f[2], '')) as event_name,
        nullif(f[2], coalesce(nullif(f[1], ''), '')) as legacy_type,
        f[3] as event_source,
        f[5] as payload,
        lower(f[6]) as agent,
        f[7] as host,
        f[8] as page,
        regexp_replace(f[9], '^\s+|\s+$', '', 'g') as user_text,
        replace(replace(replace(
            regexp_replace(f[10], '^\s+|\s+$', '', 'g'), '%3A', ':'), '%2B', '+'), '%2F', '/'
        ) as courserun_key,
        try_cast(
            case
                when regexp_full_match(
                    f[4],
                    '\d{4}-\d\d-\d\d[T ]\d\d:[0-5]\d:[0-5]\d([.]\d{1,9})?(Z|[+-]\d\d:?\d\d)?'
                )
                    then f[4] || case when regexp_matches(f[4], '(Z|[+-]\d\d:?\d\d)$') then ''
                        else '+00:00' end
            end as timestamptz
        ) as event_at,
        try_cast(f[11] as timestamptz) as received_at
    from picked
),

events as (
    select
        user_text::bigint as user_id,
        courserun_key,
        epoch_us(event_at) as us,
        event_name,
        coalesce(payload, '') as payload
    from texts
    left join (select * from read_csv($seed) where match_type = 'exact') as names
        on texts.event_name = names.pattern
    left join (select * from read_csv($seed) where match_type = 'exact') as types
        on texts.legacy_type = types.pattern
    left join (
        select *, left(pattern, 6) as key from read_csv($seed) where match_type = 'prefix'
    ) as prefixes
        on
            left(texts.event_name, 6) = prefixes.key
            and starts_with(texts.event_name, prefixes.pattern)
    where
        event_source in ('browser', 'mobile', 'server')
        and regexp_full_match(user_text, '0*[1-9]\d{0,17}')
        and regexp_full_match(
            courserun_key,
            '(course|ccx)-v1:[^/+\s]+[+][^/+\s]+[+][^/?&#\s]+|[^/+:\s]+/[^/+\s]+/[^/?&#+\s]+'
        )
        and event_at is not null
        and event_at <= coalesce(received_at, loaded_at::timestamptz) + interval 1 hour
        and not (
            event_source = 'mobile'
            and coalesce(event_at < received_at - interval 30 day, false)
        )
        and coalesce(names.category, types.category, prefixes.category) is not null
        and coalesce(names.is_learning, prefixes.is_learning, true)
        and coalesce(types.is_learning, true)
        and not coalesce(regexp_matches(
            replace(agent, 'cubot', ''),
            'bot|crawl|spider|slurp|facebookexternalhit|curl/|wget|python-requests|go-http|libwww'
            || '|healthcheck|googlehc|kube-probe|pingdom|zgrab|masscan|nikto|sqlmap|nessus|qualys'
            || '|nmap'
        ), false)
        and not coalesce(regexp_matches(host, '^(studio|cms)[.]', 'i'), false)
        and not coalesce(regexp_matches(page, '^https?://(studio|cms)[.]', 'i'), false)
),

gaps as (
    select
        user_id,
        courserun_key,
        us,
        lead(us) over (partition by user_id, courserun_key order by us) as next_us
    from (select distinct * from events)
),

counted as (
    select *, 86400000000 * (next_us // 86400000000) as midnight
    from gaps
    where next_us - us <= 1800000000
),

pieces as (
    select
        user_id,
        courserun_key,
        us // 86400000000 as day,
        least(next_us, 86400000000 * (us // 86400000000 + 1)) - us as microseconds
    from counted

    union all

    select user_id, courserun_key, midnight // 86400000000 as day, next_us - midnight
    from counted
    where midnight > us
),

days as (
    select user_id, courserun_key, day, sum(microseconds) as microseconds
    from pieces
    group by user_id, courserun_key, day
)

select
    user_id,
    courserun_key,
    make_date(day::int) as activity_date,
    round(microseconds / 1000000)::bigint as learning_time_seconds
from days
where microseconds >= 500000
