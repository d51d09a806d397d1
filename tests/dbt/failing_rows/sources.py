"""What comes from elsewhere: the raw log, the replicas and the seed."""

from __future__ import annotations

from datetime import datetime

from tests.dbt.scenario import ENTERPRISE
from tests.support.data_tests import NOW, Proof, Row, ago, each_row

PATTERN = {
    "match_type": "prefix",
    "pattern": "edx.video.",
    "category": "video",
    "is_learning": True,
}

PROOFS: dict[str, Proof] = {
    "tracking_logs_loaded_at_is_filled": each_row(
        "tracking_logs",
        {"loaded_at": NOW},
        fails={"no time of load": {"loaded_at": None}, "one of two": [{}, {"loaded_at": None}]},
    ),
    # From the first tracking logs to tomorrow; no time at all has a test of its own.
    "tracking_logs_loaded_at_is_possible": each_row(
        "tracking_logs",
        {"loaded_at": NOW},
        passes={
            "the first day": {"loaded_at": datetime(2012, 1, 1)},
            "tomorrow": {"loaded_at": ago(days=-1)},
            "none": [{}, {"loaded_at": None}],
        },
        fails={
            "before it": {"loaded_at": datetime(2011, 12, 31, 23, 59, 59)},
            "the year 1": [{}, {"loaded_at": datetime(1, 1, 1)}],
            "after tomorrow": {"loaded_at": ago(days=-1, microseconds=-1)},
        },
    ),
    # Six hours, counted from the newest row.
    "tracking_logs_are_being_loaded": each_row(
        "tracking_logs",
        {"loaded_at": ago(hours=6)},
        passes={"the newest counts": [{"loaded_at": ago(days=9)}, {}]},
        warns={"a microsecond more": {"loaded_at": ago(hours=6, microseconds=1)}},
    ),
    # Three days, counted from the newest row.
    "stg_lms__course_grades_are_being_replicated": each_row(
        "stg_lms__course_grades",
        {"modified_at": ago(hours=72)},
        passes={"the newest counts": [{"modified_at": ago(days=9)}, {}]},
        warns={"a microsecond more": {"modified_at": ago(hours=72, microseconds=1)}},
    ),
    "learning_event_patterns_match_type_is_known": each_row(
        "learning_event_patterns",
        PATTERN,
        passes={"exact": {"match_type": "exact"}},
        fails={
            "another": {"match_type": "regex"},
            "another case": {"match_type": "Prefix"},
            "none": {"match_type": None},
        },
    ),
    "learning_event_patterns_category_is_known": each_row(
        "learning_event_patterns",
        PATTERN,
        passes={
            **{
                name: {"category": name}
                for name in (
                    *("component", "exam", "forum", "navigation", "open_response"),
                    *("problem", "team", "text"),
                )
            },
            "none for what is not learning": {"category": None, "is_learning": False},
        },
        fails={
            "another": {"category": "survey"},
            "none": {"category": None},
        },
    ),
    "assert_prefix_patterns_do_not_overlap": each_row(
        "learning_event_patterns",
        PATTERN,
        passes={
            "neighbors": [{}, {"pattern": "edx.videos"}],
            "an exact name under a prefix": [
                {},
                {"match_type": "exact", "pattern": "edx.video.played"},
            ],
            "a short exact name": {"match_type": "exact", "pattern": "play"},
            "six characters": {"pattern": "edx.vi"},
            "a match of another release": {"match_type": "regex", "pattern": "edx"},
        },
        fails={
            "the longer one second": [{}, {"pattern": "edx.video.hidden."}],
            "the longer one first": [{"pattern": "edx.video.hidden."}, {}],
            "five characters": {"pattern": "edx.v"},
        },
    ),
}

REPLICAS: dict[str, tuple[str, str, Row, Row]] = {
    # Test, without its prefix: replica, and two changes, one that is readable and one that is not.
    "stg_lms__users_auth_user": ("auth_user", "id", {"username": "b"}, {"is_staff": 2}),
    "stg_lms__course_enrollments_student_courseenrollment": (
        *("student_courseenrollment", "id", {"mode": "audit"}, {"is_active": 2}),
    ),
    "stg_lms__course_access_roles_student_courseaccessrole": (
        *("student_courseaccessrole", "id", {"role": "staff"}, {"id": None}),
    ),
    "stg_lms__course_overviews_course_overviews_courseoverview": (
        *("course_overviews_courseoverview", "id", {"display_name": "b"}, {"id": None}),
    ),
    "stg_lms__course_grades_grades_persistentcoursegrade": (
        *("grades_persistentcoursegrade", "id", {"letter_grade": "B"}, {"percent_grade": 88.0}),
    ),
    "stg_lms__certificates_certificates_generatedcertificate": (
        *("certificates_generatedcertificate", "id", {"status": "b"}, {"grade": "88.0"}),
    ),
    "stg_lms__sso_accounts_social_auth_usersocialauth": (
        *("social_auth_usersocialauth", "id", {"uid": "b"}, {"extra_data": "{cut"}),
    ),
    "stg_enterprise__customers_enterprise_enterprisecustomer": (
        *("enterprise_enterprisecustomer", "uuid", {"name": "b"}, {"active": 2}),
    ),
    "stg_enterprise__customer_users_enterprise_enterprisecustomeruser": (
        "enterprise_enterprisecustomeruser",
        *("id", {"linked": 1}, {"enterprise_customer_id": "b"}),
    ),
    "stg_enterprise__course_enrollments_enterprise_enterprisecourseenrollment": (
        *("enterprise_enterprisecourseenrollment", "id", {"course_id": "b"}, {"id": None}),
    ),
    "stg_enterprise__identity_providers_enterprise_enterprisecustomeridentityprovider": (
        "enterprise_enterprisecustomeridentityprovider",
        *("id", {"provider_id": "b"}, {"enterprise_customer_id": "b"}),
    ),
    "stg_enterprise__consents_consent_datasharingconsent": (
        *("consent_datasharingconsent", "id", {"granted": 0}, {"granted": 2}),
    ),
    "stg_enterprise__webhook_configurations_channel_integration_enterprisewebhookconfiguration": (
        "channel_integration_enterprisewebhookconfiguration",
        *("id", {"webhook_url": "b"}, {"modified": datetime(1970, 1, 1)}),
    ),
}
PROOFS |= {
    f"replica_is_readable_{name}": each_row(
        table,
        {key: ENTERPRISE if key == "uuid" else 1},
        passes={"readable": readable, "the same row twice": [{}, {}]},
        fails={
            "unreadable": unreadable,
            "no key": {key: None},
            "rows of one key that nothing orders": [{}, readable],
        },
    )
    for name, (table, key, readable, unreadable) in REPLICAS.items()
}
