-- Everything that the project needs in a Snowflake account, with the least privileges. It can be
-- run again. Before you run it, replace the names of databases and schemas if yours differ:
--   RAW        where the LMS tables and the tracking log are replicated: schemas LMS, ENTERPRISE
--              and TRACKING, as the vars of dbt_project.yml say
--   ANALYTICS  the project's own database (SNOWFLAKE_DATABASE). With another SNOWFLAKE_SCHEMA than
--              PUBLIC its name is the prefix of the four schemas: PROD_MARTS and so on
-- docs/deployment.md leads through it.

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
    -- Without this a session has the privileges of all roles of its user at once.
    default_secondary_roles = ()
    comment = 'Dagster: dbt builds and webhook delivery';
-- What times and names mean in every session of this user. sync also says so when it connects; dbt
-- cannot, and an account may have other values: a cast would then read a time otherwise.
alter user learning_time_webhooks set
    timezone = 'UTC',
    timestamp_input_format = 'AUTO',
    date_input_format = 'AUTO',
    timestamp_type_mapping = 'TIMESTAMP_NTZ',
    quoted_identifiers_ignore_case = false,
    rows_per_resultset = 0,
    -- Instead of twelve hours: how long dbt waits for a table that an open transaction holds.
    lock_timeout = 900;

-- ------------------------------------------------------------------- database, schemas, warehouses
use role sysadmin;

create database if not exists analytics;
-- Managed access: only the owner of the schema grants, so the service cannot open a table to others.
create schema if not exists analytics.staging with managed access;
create schema if not exists analytics.intermediate with managed access;
create schema if not exists analytics.marts with managed access;
-- What customers have received is not derivable: a day of time travel, and fail-safe after it. On
-- Enterprise edition and above take a week, which Standard edition refuses:
--     alter schema analytics.sync set data_retention_time_in_days = 7;
create schema if not exists analytics.sync with managed access data_retention_time_in_days = 1;

-- Two, so that a full refresh of the models never makes a webhook wait. Each is billed by the
-- second while it runs, at least a minute a start.
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

-- A month of both warehouses together takes about 150 credits at the default cost dial, on a busy
-- site (docs/operations.md). Set the quotas to what yours takes. Only builds are ever suspended:
-- completions then go out without learning time, while a suspended delivery would stop them.
create resource monitor if not exists learning_time_build
    with credit_quota = 100
    frequency = monthly
    start_timestamp = immediately
    triggers
        on 80 percent do notify
        on 100 percent do suspend;
-- What the cost dial allows at most, at its default of 5 minutes: a wake in every slot of a month.
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
-- So that `ltw doctor` can hold the quotas against the schedules.
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
-- Where SNOWFLAKE_DBT_WAREHOUSE is not set, one warehouse wakes for builds and deliveries.
grant usage on warehouse learning_time_delivery to role learning_time_build;
grant usage on warehouse learning_time_delivery to role learning_time_reader;
grant usage on warehouse learning_time_build to role learning_time_loader;

-- dbt reads the raw tables. A grant names one kind of object, and a replica may be any of these.
-- A replica that is made anew is a new object, so that future ones are granted, too: in the
-- database, because future grants in a schema would make those that others have in the database
-- void there, for all roles. What can be read stays in the schemas of which the role has USAGE.
-- Where a schema of RAW has future grants of its own (show future grants in schema raw.lms), ours
-- are void for their kinds of object: grant these there as well.
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

-- The sensor asks when these last changed. It reads metadata, which takes the right to read.
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

-- Operators. What they may read table by table is in readers.sql: those tables must exist first.
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
-- 4. If the report shall say what it all costs, with is_cost_history_read in dbt_project.yml, as
--    ACCOUNTADMIN. It opens the usage history of the whole account to the role, not only ours:
--    grant database role snowflake.usage_viewer to role learning_time_build;
