with

source as (
    select * from {{ source('sync', 'erasures') }}
),

final as (
    select
        person_key,
        min(requested_at) as requested_at
    from source
    group by person_key
)

select * from final
