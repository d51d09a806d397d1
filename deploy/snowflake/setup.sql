-- Everything that the project needs in a Snowflake account, with least privilege. It can be run
-- repeatedly. Before you run it, replace the names of databases and schemas if yours differ:
--   RAW        where the LMS tables and the tracking log are replicated: schemas LMS, ENTERPRISE
--              and TRACKING, as in the vars of dbt_project.yml
--   ANALYTICS  the project's own database (SNOWFLAKE_DATABASE). If SNOWFLAKE_SCHEMA is not
--              PUBLIC, its name is the prefix of the four schemas: PROD_MARTS and so on
-- docs/deployment.md walks through it.

-- ------------------------------------------------------------------------------------------ roles
use role useradmin;

create role if not exists learning_time_build
    comment = 'dbt: reads the raw tables and the ledger, owns the models';
create role if not exists learning_time_delivery
    comment = 'webhooks: reads the marts, owns the ledger, never sees the tracking log';
create role if not exists learning_time_reader
    comment = 'operators: deliveries and learning time, no names, addresses or bodies';
create role if not exists learning_time_loader
    comment = 'load-logs: writes the tracking log. Not needed where another loader does';

-- TYPE = SERVICE: no password, no login to the web interface; a key pair only.
create user if not exists learning_time_webhooks
    type = service
    default_role = learning_time_delivery
    default_warehouse = learning_time_delivery
    -- Without this, a session has the privileges of all roles of its user at once.
    default_secondary_roles = ()
    comment = 'Dagster: dbt builds and webhook delivery';
-- How every session of this user interprets times and names. sync also sets these when it connects;
-- dbt cannot, and with other values in the account a cast would interpret a time differently.
alter user learning_time_webhooks set
    timezone = 'UTC',
    timestamp_input_format = 'AUTO',
    date_input_format = 'AUTO',
    timestamp_type_mapping = 'TIMESTAMP_NTZ',
    quoted_identifiers_ignore_case = false,
    rows_per_resultset = 0,
    -- How long dbt waits for a table locked by an open transaction; the default is twelve hours.
    lock_timeout = 900;

-- ------------------------------------------------------------------- database, schemas, warehouses
use role sysadmin;

create database if not exists analytics;
-- Managed access: only the schema owner can grant, so the service cannot give others access.
create schema if not exists analytics.staging with managed access;
create schema if not exists analytics.intermediate with managed access;
create schema if not exists analytics.marts with managed access;
-- What customers have received cannot be rebuilt: a day of Time Travel, then Fail-safe. On
-- Enterprise edition and above use a week, which Standard edition rejects:
--     alter schema analytics.sync set data_retention_time_in_days = 7;
create schema if not exists analytics.sync with managed access data_retention_time_in_days = 1;

-- Two, so that a full refresh of the models never delays a webhook. Each is billed by the second
-- while it runs, with a minimum of one minute per start.
create warehouse if not exists learning_time_build
    warehouse_size = xsmall
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true
    statement_timeout_in_seconds = 7200
    statement_queued_timeout_in_seconds = 1800
    comment = 'dbt builds of learning time, of which a full refresh takes longest';
create warehouse if not exists learning_time_delivery
    warehouse_size = xsmall
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true
    statement_timeout_in_seconds = 300
    statement_queued_timeout_in_seconds = 300
    comment = 'webhook detection and delivery, and operators';

-- --------------------------------------------------------------------------------- cost, in credits
use role accountadmin;

-- Both warehouses together use about 150 credits a month at the default cost dial, on a busy site
-- (docs/operations.md). Set the quotas to your usage. Only builds are ever suspended: completions
-- then go out without learning time, while suspending delivery would stop them.
create resource monitor if not exists learning_time_build
    with credit_quota = 100
    frequency = monthly
    start_timestamp = immediately
    triggers
        on 80 percent do notify
        on 100 percent do suspend;
-- The most that the cost dial allows at its default of 5 minutes: a wake in every slot of a month.
-- 75 at 15 minutes, 19 at 60 (monthly_credits in sync/operations/dial.py).
create resource monitor if not exists learning_time_delivery
    with credit_quota = 224
    frequency = monthly
    start_timestamp = immediately
    triggers
        on 80 percent do notify
        on 100 percent do notify;
alter warehouse learning_time_build set resource_monitor = learning_time_build;
alter warehouse learning_time_delivery set resource_monitor = learning_time_delivery;
-- So that `ltw doctor` can compare the quotas with the schedules.
grant monitor on resource monitor learning_time_build to role learning_time_delivery;
grant monitor on resource monitor learning_time_delivery to role learning_time_delivery;

-- ------------------------------------------------------------------------------------------ grants
use role securityadmin;

grant role learning_time_build to role sysadmin;
grant role learning_time_delivery to role sysadmin;
grant role learning_time_reader to role sysadmin;
grant role learning_time_loader to role sysadmin;
grant role learning_time_build to user learning_time_webhooks;
grant role learning_time_delivery to user learning_time_webhooks;

grant usage on warehouse learning_time_build to role learning_time_build;
grant usage on warehouse learning_time_delivery to role learning_time_delivery;
-- If SNOWFLAKE_DBT_WAREHOUSE is not set, one warehouse wakes for builds and deliveries.
grant usage on warehouse learning_time_delivery to role learning_time_build;
grant usage on warehouse learning_time_delivery to role learning_time_reader;
grant usage on warehouse learning_time_build to role learning_time_loader;

-- dbt reads the raw tables. A grant names one kind of object, and a replica may be any of these.
-- A recreated replica is a new object, so future ones are granted, too: in the database, because
-- future grants in a schema would override there, for all roles, those that others have in the
-- database. The role can still read only in the schemas where it has USAGE.
-- If a schema of RAW has its own future grants (show future grants in schema raw.lms), they
-- override ours for their kinds of object: grant those kinds in that schema as well.
grant usage on database raw to role learning_time_build;
grant usage on schema raw.lms to role learning_time_build;
grant usage on schema raw.enterprise to role learning_time_build;
grant usage on schema raw.tracking to role learning_time_build;
grant select on all tables in schema raw.lms to role learning_time_build;
grant select on all tables in schema raw.enterprise to role learning_time_build;
grant select on all tables in schema raw.tracking to role learning_time_build;
grant select on all views in schema raw.lms to role learning_time_build;
grant select on all views in schema raw.enterprise to role learning_time_build;
grant select on all views in schema raw.tracking to role learning_time_build;
grant select on all materialized views in schema raw.lms to role learning_time_build;
grant select on all materialized views in schema raw.enterprise to role learning_time_build;
grant select on all materialized views in schema raw.tracking to role learning_time_build;
grant select on all dynamic tables in schema raw.lms to role learning_time_build;
grant select on all dynamic tables in schema raw.enterprise to role learning_time_build;
grant select on all dynamic tables in schema raw.tracking to role learning_time_build;
grant select on all external tables in schema raw.lms to role learning_time_build;
grant select on all external tables in schema raw.enterprise to role learning_time_build;
grant select on all external tables in schema raw.tracking to role learning_time_build;
grant select on all iceberg tables in schema raw.lms to role learning_time_build;
grant select on all iceberg tables in schema raw.enterprise to role learning_time_build;
grant select on all iceberg tables in schema raw.tracking to role learning_time_build;
grant select on future tables in database raw to role learning_time_build;
grant select on future views in database raw to role learning_time_build;
grant select on future materialized views in database raw to role learning_time_build;
grant select on future dynamic tables in database raw to role learning_time_build;
grant select on future external tables in database raw to role learning_time_build;
grant select on future iceberg tables in database raw to role learning_time_build;

-- The sensor checks when these last changed. It reads metadata, which requires SELECT.
grant usage on database raw to role learning_time_delivery;
grant usage on schema raw.lms to role learning_time_delivery;
grant usage on schema raw.enterprise to role learning_time_delivery;
grant select on all tables in schema raw.lms to role learning_time_delivery;
grant select on all tables in schema raw.enterprise to role learning_time_delivery;
grant select on all views in schema raw.lms to role learning_time_delivery;
grant select on all views in schema raw.enterprise to role learning_time_delivery;
grant select on all materialized views in schema raw.lms to role learning_time_delivery;
grant select on all materialized views in schema raw.enterprise to role learning_time_delivery;
grant select on all dynamic tables in schema raw.lms to role learning_time_delivery;
grant select on all dynamic tables in schema raw.enterprise to role learning_time_delivery;
grant select on all external tables in schema raw.lms to role learning_time_delivery;
grant select on all external tables in schema raw.enterprise to role learning_time_delivery;
grant select on all iceberg tables in schema raw.lms to role learning_time_delivery;
grant select on all iceberg tables in schema raw.enterprise to role learning_time_delivery;
grant select on future tables in database raw to role learning_time_delivery;
grant select on future views in database raw to role learning_time_delivery;
grant select on future materialized views in database raw to role learning_time_delivery;
grant select on future dynamic tables in database raw to role learning_time_delivery;
grant select on future external tables in database raw to role learning_time_delivery;
grant select on future iceberg tables in database raw to role learning_time_delivery;

-- dbt owns its models, and reads the ledger.
grant usage on database analytics to role learning_time_build;
grant usage, create table, create view on schema analytics.staging to role learning_time_build;
grant usage, create table, create view on schema analytics.intermediate to role learning_time_build;
grant usage, create table, create view on schema analytics.marts to role learning_time_build;
grant usage on schema analytics.sync to role learning_time_build;
grant select on all tables in schema analytics.sync to role learning_time_build;
grant select on future tables in schema analytics.sync to role learning_time_build;

-- Delivery owns the ledger, and reads the marts.
grant usage on database analytics to role learning_time_delivery;
grant usage, create table on schema analytics.sync to role learning_time_delivery;
grant usage on schema analytics.marts to role learning_time_delivery;
grant select on all tables in schema analytics.marts to role learning_time_delivery;
grant select on all views in schema analytics.marts to role learning_time_delivery;
grant select on future tables in schema analytics.marts to role learning_time_delivery;
grant select on future views in schema analytics.marts to role learning_time_delivery;

-- Operators. readers.sql grants them individual tables, which must exist first.
grant usage on database analytics to role learning_time_reader;
grant usage on schema analytics.marts to role learning_time_reader;

-- load-logs.
grant usage on database raw to role learning_time_loader;
grant usage, create table, create stage on schema raw.tracking to role learning_time_loader;
grant select, insert on all tables in schema raw.tracking to role learning_time_loader;

-- ------------------------------------------------------------------------------- before you leave
-- 1. The public key of the service user: docs/deployment.md, "Key pair".
-- 2. A network policy with the addresses that your Dagster runs from. Without one the key works
--    from anywhere:
--    create network policy learning_time_webhooks allowed_ip_list = ('203.0.113.0/24');
--    alter user learning_time_webhooks set network_policy = learning_time_webhooks;
-- 3. grant role learning_time_reader to the people on call.
-- 4. To show costs in the delivery report, with is_cost_history_read in dbt_project.yml, as
--    ACCOUNTADMIN. This opens the usage history of the whole account to the role, not only ours:
--    grant database role snowflake.usage_viewer to role learning_time_build;
