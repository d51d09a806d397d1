{# Origin of each line without its content, so lines can be counted without parsing. #}
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
