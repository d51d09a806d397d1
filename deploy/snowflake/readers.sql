-- Grants for operators. Run it once, after the first run of learning_time_job; dbt keeps these
-- grants when it rebuilds the models (copy_grants).
-- Omitted on purpose: marts with names and addresses of learners, raw lines, and the ledger, whose
-- outbox contains the bodies.
use role securityadmin;

grant select on view analytics.marts.webhook_deliveries to role learning_time_reader;
grant select on view analytics.marts.endpoint_health to role learning_time_reader;
grant select on view analytics.marts.delivery_reconciliation to role learning_time_reader;
grant select on view analytics.marts.completion_corrections to role learning_time_reader;
grant select on view analytics.marts.warehouse_costs to role learning_time_reader;
grant select on table analytics.marts.learning_time to role learning_time_reader;
grant select on table analytics.marts.completion_learning_time to role learning_time_reader;
grant select on table analytics.marts.learning_time_parameters to role learning_time_reader;
grant select on table analytics.marts.learning_time_watermark to role learning_time_reader;
grant select on table analytics.marts.tracking_line_counts to role learning_time_reader;
grant select on table analytics.marts.unknown_event_types to role learning_time_reader;
