with

source as (
    select * from {{ source('lms', 'social_auth_usersocialauth') }}
),

parsed as (
    select
        *,
        try_parse_json(extra_data::varchar) as parsed_once
    from source
),

-- Some releases store the document as JSON inside a JSON string.
unwrapped as (
    select
        *,
        coalesce(try_parse_json(parsed_once::varchar), parsed_once) as document
    from parsed
),

final as (
    select
        id::number(38, 0) as sso_account_id,
        user_id::number(38, 0) as user_id,
        -- The name that an enterprise's identity provider has for this row's provider.
        case
            when provider = 'tpa-saml' then 'saml-' || split_part(uid, ':', 1)
            else 'oa2-' || provider
        end as provider_id,
        upper({{ scalar_or_first('document', 'country') }}) as country,
        {{ scalar_or_first('document', 'PercipioUserUUID') }} as percipio_user_id,
        {{ scalar_or_first('document', 'percipioOrganizationUuid') }} as percipio_organization_id
    from unwrapped
)

select * from final
