with

{{ replica('auth_user') }},

final as (
    select
        id as user_id,
        username,
        nullif(email, '') as email,
        is_staff,
        is_superuser,
        coalesce(startswith(lower(username), 'retired__user_'), false)
        or coalesce(right(lower(email), 16) = '@retired.invalid', false) as is_retired
    from replica
)

select * from final
