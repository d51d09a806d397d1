{#
    What is read from each replica: its location, primary key, columns with the type they are read
    as, and optional columns. A replica read only by an event type that is disabled may be
    missing entirely: then it has no rows. docs/your-replica.md has the same list for readers; a
    test keeps the two in sync.

    A row with an unreadable value or deletion mark is in doubt until a build stops for it: left out
    when that sends nothing, and kept with is_doubtful when "in_doubt" is set, because the row may
    forbid something or another row would take its place.
#}
{% macro replica_tables() -%}
    {{ return({
        'auth_user': {
            'source': 'lms',
            'key': 'id',
            'columns': {
                'id': 'integer', 'username': 'text', 'email': 'text', 'is_staff': 'boolean',
                'is_superuser': 'boolean',
            },
            'optional': ['email'],
            'forbidding': ['is_staff', 'is_superuser'],
        },
        'student_courseenrollment': {
            'source': 'lms',
            'key': 'id',
            'columns': {
                'id': 'integer', 'user_id': 'integer', 'course_id': 'text', 'mode': 'text',
                'is_active': 'boolean', 'created': 'timestamp',
            },
            'in_doubt': 'kept',
        },
        'student_courseaccessrole': {
            'source': 'lms',
            'key': 'id',
            'columns': {
                'id': 'integer', 'user_id': 'integer', 'role': 'text', 'org': 'text',
                'course_id': 'text',
            },
            'in_doubt': 'kept',
        },
        'course_overviews_courseoverview': {
            'source': 'lms',
            'key': 'id',
            'columns': {'id': 'text', 'display_name': 'text'},
            'optional': ['display_name'],
        },
        'grades_persistentcoursegrade': {
            'source': 'lms',
            'key': 'id',
            'columns': {
                'id': 'integer', 'user_id': 'integer', 'course_id': 'text',
                'percent_grade': 'fraction', 'letter_grade': 'text',
                'passed_timestamp': 'timestamp', 'modified': 'timestamp',
            },
            'optional': ['letter_grade', 'modified'],
        },
        'certificates_generatedcertificate': {
            'source': 'lms',
            'key': 'id',
            'columns': {
                'id': 'integer', 'user_id': 'integer', 'course_id': 'text', 'status': 'text',
                'mode': 'text', 'grade': 'fraction', 'download_url': 'text',
                'modified_date': 'timestamp',
            },
            'optional': ['grade', 'download_url'],
            'may_be_missing': True,
        },
        'social_auth_usersocialauth': {
            'source': 'lms',
            'key': 'id',
            'columns': {
                'id': 'integer', 'user_id': 'integer', 'provider': 'text', 'uid': 'text',
                'extra_data': 'json',
            },
            'in_doubt': 'kept',
        },
        'enterprise_enterprisecustomer': {
            'source': 'enterprise',
            'key': 'uuid',
            'columns': {
                'uuid': 'uuid', 'name': 'text', 'country': 'text', 'active': 'boolean',
                'enable_audit_enrollment': 'boolean', 'enable_audit_data_reporting': 'boolean',
                'modified': 'timestamp',
            },
            'optional': [
                'country', 'enable_audit_enrollment', 'enable_audit_data_reporting', 'modified',
            ],
        },
        'enterprise_enterprisecustomeruser': {
            'source': 'enterprise',
            'key': 'id',
            'columns': {
                'id': 'integer', 'enterprise_customer_id': 'uuid', 'user_id': 'integer',
                'linked': 'boolean',
            },
        },
        'enterprise_enterprisecourseenrollment': {
            'source': 'enterprise',
            'key': 'id',
            'columns': {
                'id': 'integer', 'enterprise_customer_user_id': 'integer', 'course_id': 'text',
            },
        },
        'enterprise_enterprisecustomeridentityprovider': {
            'source': 'enterprise',
            'key': 'id',
            'columns': {
                'id': 'integer', 'enterprise_customer_id': 'uuid', 'provider_id': 'text',
            },
            'in_doubt': 'kept',
        },
        'consent_datasharingconsent': {
            'source': 'enterprise',
            'key': 'id',
            'columns': {
                'id': 'integer', 'enterprise_customer_id': 'uuid', 'username': 'text',
                'course_id': 'text', 'granted': 'boolean', 'modified': 'timestamp',
            },
            'optional': ['modified'],
            'in_doubt': 'kept',
        },
        'channel_integration_enterprisewebhookconfiguration': {
            'source': 'enterprise',
            'key': 'id',
            'columns': {
                'id': 'integer', 'enterprise_customer_id': 'uuid', 'region': 'text',
                'webhook_url': 'text', 'webhook_token_url': 'text',
                'webhook_timeout_seconds': 'integer', 'webhook_retry_attempts': 'integer',
                'max_requests_per_minute': 'integer', 'active': 'boolean',
                'enable_enrollment_events_processing': 'boolean', 'client_id': 'text',
                'modified': 'timestamp',
            },
            'optional': [
                'webhook_token_url', 'webhook_timeout_seconds', 'webhook_retry_attempts',
                'max_requests_per_minute', 'enable_enrollment_events_processing', 'client_id',
                'modified',
            ],
            'in_doubt': 'kept',
        },
    }) }}
{%- endmacro %}

{#
    Columns of a replica as the warehouse has them: lower-case name to {sql, kind}; empty while dbt
    parses. In a unit test, the source is a fixture with the columns of the real table, so the real
    table is queried there too.
#}
{% macro replica_columns(table) -%}
    {%- set columns = {} -%}
    {%- set place = replica_tables()[table].source -%}
    {%- if execute -%}
        {%- set relation = api.Relation.create(
            database=var(place ~ '_database'), schema=var(place ~ '_schema'), identifier=table
        ) -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- set plain = modules.re.fullmatch('[A-Z_][A-Z0-9_]*', column.name | upper) -%}
            {%- do columns.update({column.name | lower: {
                'sql': column.name | lower
                if plain and is_found_unquoted(column.name)
                else adapter.quote(column.name),
                'kind': kind_of_type(column.dtype),
            }}) -%}
        {%- endfor -%}
        {%- if not columns and replica_tables()[table].may_be_missing -%}
            {%- for name in replica_tables()[table].columns -%}
                {%- do columns.update({name: {'sql': name, 'kind': 'text', 'missing': true}}) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(columns) }}
{%- endmacro %}

{# Whether the table is missing and allowed to be: its columns then exist without rows. #}
{% macro is_replica_missing(columns) -%}
    {{ return((columns.values() | list | first or {}).missing) }}
{%- endmacro %}

{# Single name for all spellings of a Snowflake type, for the macros that read values. #}
{% macro kind_of_type(data_type) -%}
    {%- set name = data_type | upper -%}
    {{ return(
        'text' if name in ['VARCHAR', 'TEXT', 'STRING', 'CHAR', 'CHARACTER', 'NVARCHAR']
        else 'number' if name in [
            'NUMBER', 'DECIMAL', 'NUMERIC', 'INT', 'INTEGER', 'BIGINT', 'SMALLINT', 'TINYINT',
            'BYTEINT', 'FLOAT', 'FLOAT4', 'FLOAT8', 'DOUBLE', 'DOUBLE PRECISION', 'REAL', 'DECFLOAT',
        ]
        else 'boolean' if name == 'BOOLEAN'
        else 'timestamp' if name in ['TIMESTAMP_NTZ', 'DATETIME', 'TIMESTAMP']
        else 'zoned' if name in ['TIMESTAMP_TZ', 'TIMESTAMP_LTZ']
        else 'variant' if name in ['VARIANT', 'OBJECT', 'ARRAY']
        else 'binary' if name in ['BINARY', 'VARBINARY']
        else 'date' if name == 'DATE'
        else 'other'
    ) }}
{%- endmacro %}
