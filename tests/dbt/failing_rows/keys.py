"""Keys: which columns make a row, in every relation."""

from __future__ import annotations

from datetime import date, datetime

from tests.dbt.scenario import ENTERPRISE_UUID, RUN
from tests.support.data_tests import Proof, grain

DAY = date(2026, 3, 5)
AT = datetime(2026, 3, 5, 9)
LEARNER = {"user_id": 1, "courserun_key": RUN}
ENROLLMENT = {"enterprise_customer_uuid": ENTERPRISE_UUID, **LEARNER}

PROOFS: dict[str, Proof] = {
    "has_one_row_learning_time_watermark_": Proof(
        {"learning_time_watermark": [{}]},
        fails={"two rows": {"learning_time_watermark": [{}, {}]}},
        on_nothing="fail",
    ),
    "stg_sync__webhooks_one_row_per_event": grain(
        "stg_sync__webhooks", event_type="course_completion", **ENROLLMENT
    ),
    "stg_sync__webhooks_one_row_per_id": grain("stg_sync__webhooks", webhook_id="a"),
    "unique_grain_stg_sync__erasures_person_key": grain("stg_sync__erasures", person_key="a"),
    "unique_grain_completed_enrollments_enterprise_customer_uuid__user_id__courserun_key": grain(
        "completed_enrollments", **ENROLLMENT
    ),
    "unique_grain_completion_learning_time_enterprise_customer_uuid__user_id__courserun_key": grain(
        "completion_learning_time", **ENROLLMENT
    ),
    "unique_grain_delivery_reconciliation_enterprise_customer_uuid__passed_date": grain(
        "delivery_reconciliation", enterprise_customer_uuid=ENTERPRISE_UUID, passed_date=DAY
    ),
    "unique_grain_endpoint_health_endpoint_id": grain("endpoint_health", endpoint_id=1),
    "unique_grain_enterprise_enrollments_enterprise_customer_uuid__user_id__courserun_key": grain(
        "enterprise_enrollments", **ENROLLMENT
    ),
    "unique_grain_ineligible_completions_enterprise_customer_uuid__user_id__courserun_key": grain(
        "ineligible_completions", **ENROLLMENT
    ),
    "unique_grain_int_learning_gaps_user_id__courserun_key__event_at__event_key": grain(
        "int_learning_gaps", **LEARNER, event_at=AT, event_key="a"
    ),
    "unique_grain_int_learning_time_daily_user_id__courserun_key__activity_date": grain(
        "int_learning_time_daily", **LEARNER, activity_date=DAY
    ),
    "unique_grain_learning_event_patterns_pattern": grain("learning_event_patterns", pattern="a"),
    "unique_grain_learning_time_parameters_parameter": grain(
        "learning_time_parameters", parameter="timezone"
    ),
    "unique_grain_learning_time_user_id__courserun_key__enterprise_customer_uuid__date": grain(
        "learning_time", **ENROLLMENT, date=DAY
    ),
    "unique_grain_quarantined_lines_file_name__loaded_at__reason__line_excerpt": grain(
        "quarantined_lines",
        file_name="tracking.log",
        loaded_at=AT,
        reason="unreadable",
        line_excerpt="{",
    ),
    "unique_grain_stg_enterprise__customer_users_enterprise_customer_user_id": grain(
        "stg_enterprise__customer_users", enterprise_customer_user_id=1
    ),
    "unique_grain_stg_enterprise__customers_enterprise_customer_uuid": grain(
        "stg_enterprise__customers", enterprise_customer_uuid=ENTERPRISE_UUID
    ),
    "unique_grain_stg_enterprise__webhook_configurations_endpoint_id": grain(
        "stg_enterprise__webhook_configurations", endpoint_id=1
    ),
    "unique_grain_stg_lms__users_user_id": grain("stg_lms__users", user_id=1),
    "unique_grain_stg_sync__endpoint_settings_endpoint_id": grain(
        "stg_sync__endpoint_settings", endpoint_id=1
    ),
    "unique_grain_stg_sync__endpoint_states_endpoint_id": grain(
        "stg_sync__endpoint_states", endpoint_id=1
    ),
    "unique_grain_tracking_line_counts_loaded_date__outcome__reason": grain(
        "tracking_line_counts", loaded_date=DAY, outcome="dropped", reason="user_missing"
    ),
    "unique_grain_unknown_event_types_event_name": grain("unknown_event_types", event_name="a"),
    "unique_grain_webhook_deliveries_webhook_id": grain("webhook_deliveries", webhook_id="a"),
    "unique_grain_webhook_endpoints_endpoint_id": grain("webhook_endpoints", endpoint_id=1),
}
