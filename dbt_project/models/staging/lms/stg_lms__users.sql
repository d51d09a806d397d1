with

source as (
    select * from {{ source('lms', 'auth_user') }}
),

final as (
    select
        id::number(38, 0) as user_id,
        username::varchar as username,
        nullif(email::varchar, '') as email,
        {{ to_boolean('is_staff') }} as is_staff,
        {{ to_boolean('is_superuser') }} as is_superuser,
        coalesce(startswith(lower(username), 'retired__user_'), false)
        or coalesce(right(lower(email), 16) = '@retired.invalid', false) as is_retired
    from source
)

select * from final
