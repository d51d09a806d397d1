with

{{ replica('social_auth_usersocialauth') }},

-- Some releases store the document as JSON inside a JSON string. As the only element of a list,
-- both forms yield the text of an object.
parsed as (
    select
        *,
        {{ parsed_json(
            parsed_json("'[' || extra_data || ']'") ~ "[0]::varchar"
        ) }} as document
    from replica
),

final as (
    select
        id as sso_account_id,
        user_id,
        -- The name of this row's provider in an enterprise's identity provider link.
        case
            when provider = 'tpa-saml' then 'saml-' || split_part(uid, ':', 1)
            else 'oa2-' || provider
        end as provider_id,
        upper({{ scalar_or_first('document', 'country') }}) as country,
        {{ scalar_or_first('document', 'PercipioUserUUID') }} as percipio_user_id,
        {{ scalar_or_first('document', 'percipioOrganizationUuid') }} as percipio_organization_id,
        is_doubtful
    from parsed
)

select * from final
