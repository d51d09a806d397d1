"""Keys: which columns make a row, in every relation."""

from __future__ import annotations

from datetime import date, datetime

from tests.dbt.scenario import ENTERPRISE_UUID, RUN
from tests.support.data_tests import Proof, grain

DAY = date(2026, 3, 5)
AT = datetime(2026, 3, 5, 9)
LEARNER = {"user_id": 1, "courserun_key": RUN}
ENROLLMENT = {"enterprise_customer_uuid": ENTERPRISE_UUID, **LEARNER}

KEYS: dict[str, dict[str, object]] = {
    "awarded_certificates": ENROLLMENT,
    "completed_enrollments": ENROLLMENT,
    "completion_corrections": ENROLLMENT,
    "completion_learning_time": ENROLLMENT,
    "delivery_reconciliation": {
        "event_type": "course_completion",
        "enterprise_customer_uuid": ENTERPRISE_UUID,
        "passed_date": DAY,
    },
    "endpoint_health": {"endpoint_id": 1},
    "enterprise_enrollments": ENROLLMENT,
    "ineligible_completions": ENROLLMENT,
    "int_learning_gaps": {**LEARNER, "event_at": AT, "event_key": "a"},
    "int_learning_time_daily": {**LEARNER, "activity_date": DAY},
    "learning_event_patterns": {"pattern": "a"},
    "learning_time": {**LEARNER, "enterprise_customer_uuid": ENTERPRISE_UUID, "date": DAY},
    "learning_time_parameters": {"parameter": "timezone"},
    "quarantined_lines": {
        "file_name": "tracking.log",
        "loaded_at": AT,
        "reason": "unreadable",
        "line_excerpt": "{",
    },
    "stg_enterprise__customer_users": {"enterprise_customer_user_id": 1},
    "stg_enterprise__customers": {"enterprise_customer_uuid": ENTERPRISE_UUID},
    "stg_enterprise__webhook_configurations": {"endpoint_id": 1},
    "stg_lms__users": {"user_id": 1},
    "stg_sync__endpoint_states": {"endpoint_id": 1},
    "stg_sync__erasures": {"person_key": "a"},
    "stg_sync__pauses": {"pause_id": "a"},
    "tracking_line_counts": {
        "loaded_date": DAY,
        "outcome": "dropped",
        "reason": "user_missing",
    },
    "unknown_event_types": {"event_name": "a"},
    "warehouse_costs": {"used_date": date(2026, 3, 9), "part": "models"},
    "webhook_deliveries": {"webhook_id": "a"},
    "webhook_endpoints": {"endpoint_id": 1},
}
"""Relation to its key. The order of the columns is that of the test, whose name has them."""

PROOFS: dict[str, Proof] = {
    "has_one_row_learning_time_watermark_": Proof(
        {"learning_time_watermark": [{}]},
        fails={"two rows": {"learning_time_watermark": [{}, {}]}},
        on_nothing="fail",
    ),
    "stg_sync__webhooks_one_row_per_event": grain(
        "stg_sync__webhooks", event_type="course_completion", **ENROLLMENT
    ),
    "stg_sync__webhooks_one_row_per_correction": grain(
        "stg_sync__webhooks", corrects_webhook_id="a", correction_number=1
    ),
    "stg_sync__webhooks_one_row_per_id": grain("stg_sync__webhooks", webhook_id="a"),
} | {
    f"unique_combination_of_columns_{relation}_{'__'.join(key)}": grain(relation, **key)
    for relation, key in KEYS.items()
}
