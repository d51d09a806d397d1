with

source as (
    select * from {{ source('sync', 'activations') }}
),

final as (
    select
        event_type,
        activated_at,
        recorded_at
    from source
)

select * from final
