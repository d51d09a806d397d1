{# Where each line came from and nothing of what it says, so that lines can be counted unparsed. #}
with

source as (
    select * from {{ source('tracking', 'tracking_logs') }}
),

final as (
    select
        coalesce(file_name, '') as file_name,
        {{ load_time('loaded_at') }} as loaded_at
    from source
)

select * from final
