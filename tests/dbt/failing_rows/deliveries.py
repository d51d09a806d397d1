"""Deliveries: the outbox, its endpoints and what is said of both."""

from __future__ import annotations

from datetime import date

from sync.domain.states import State
from tests.dbt.scenario import ENTERPRISE_UUID, RUN
from tests.support.data_tests import NOW, Proof, Row, ago, copies, each_row

STATES = tuple(one.value for one in State)
ENDPOINT = {
    "endpoint_id": 1,
    "enterprise_customer_uuid": ENTERPRISE_UUID,
    "is_active": True,
    "is_paused": False,
    "breaker_state": "closed",
}
OVERDUE = {
    "webhook_id": "a",
    "endpoint_id": 1,
    "state": "pending",
    "recorded_at": ago(days=2),
    "next_attempt_at": ago(minutes=31),
}
DUE = {**OVERDUE, "next_attempt_at": ago(minutes=30)}
DELIVERED = {"state": "delivered", "last_attempt_at": ago(hours=24)}
DEAD = {**DELIVERED, "state": "dead"}
HELD = {
    "enterprise_customer_uuid": ENTERPRISE_UUID,
    "endpoint_id": 1,
    "state": "held",
    "state_reason": "signing_key_missing",
    "recorded_at": ago(hours=24),
}
SENT = {
    "event_type": "course_completion",
    "enrichment_outcome": "found",
    "enterprise_customer_uuid": ENTERPRISE_UUID,
    "user_id": 1,
    "courserun_key": RUN,
    "occurred_at": ago(days=7),
    "frozen_at": ago(days=7),
    "learning_time_seconds": 1_000,
}
TODAY = {
    "enterprise_customer_uuid": ENTERPRISE_UUID,
    "user_id": 1,
    "courserun_key": RUN,
    "passed_at": ago(days=7),
    "learning_time_seconds": 1_000,
}


def ended(total: int, dead: int, **changes: object) -> dict[str, list[Row]]:
    """Webhooks that came to their end, and the number of them given up."""
    return {
        "webhook_deliveries": [
            *copies(total - dead, {**DELIVERED, **changes}),
            *copies(dead, {**DEAD, **changes}),
        ]
    }


def sent(total: int, moved: int, **changes: object) -> dict[str, list[Row]]:
    """Sent learning times, and how many of them are another number by now."""
    return {
        "webhook_deliveries": [
            *copies(moved, {**SENT, "learning_time_seconds": 2_000, **changes}),
            *copies(total - moved, {**SENT, **changes}),
        ],
        "completion_learning_time": [TODAY],
    }


def all_now(number: int, was: int = 1_000, **changes: object) -> dict[str, list[Row]]:
    """Twenty learning times that were sent, and what the mart's row is now."""
    return {
        "webhook_deliveries": copies(20, {**SENT, "learning_time_seconds": was}),
        "completion_learning_time": [{**TODAY, "learning_time_seconds": number, **changes}],
    }


def only(relation: str, *rows: Row) -> dict[str, list[Row]]:
    """Rows of one relation."""
    return {relation: list(rows)}


PROOFS: dict[str, Proof] = {
    "stg_sync__webhooks_state_is_known": each_row(
        "stg_sync__webhooks",
        {"state": "pending"},
        passes={name: {"state": name} for name in STATES},
        fails={
            "another": {"state": "lost"},
            "another case": {"state": "Dead"},
            "none": {"state": None},
        },
    ),
    "stg_sync__webhooks_open_rows_have_a_time": each_row(
        "stg_sync__webhooks",
        {"state": "pending", "next_attempt_at": NOW},
        passes={
            name: {"state": name, "next_attempt_at": None}
            for name in ("delivered", "dead", "suppressed")
        },
        fails={
            name: {"state": name, "next_attempt_at": None}
            for name in ("awaiting", "pending", "held")
        },
    ),
    "delivery_reconciliation_balances": each_row(
        "delivery_reconciliation",
        {"is_balanced": True},
        fails={
            "off": {"is_balanced": False},
            "not known": {"is_balanced": None},
            "one of two": [{}, {"is_balanced": False}],
        },
    ),
    "endpoint_health_no_active_endpoint_is_disabled": each_row(
        "endpoint_health",
        ENDPOINT,
        passes={"off in the LMS as well": {"disabled_at": NOW, "is_active": False}},
        warns={
            "off here only": {"disabled_at": NOW},
            "nobody knows whether it is off in the LMS": {"disabled_at": NOW, "is_active": None},
        },
    ),
    # A day.
    "endpoint_health_no_endpoint_fails_for_long": each_row(
        "endpoint_health",
        {**ENDPOINT, "failing_since": ago(hours=24)},
        passes={
            "does not fail": {"failing_since": None},
            "off here": {"failing_since": ago(days=3), "disabled_at": NOW},
            "off in the LMS": {"failing_since": ago(days=3), "is_active": False},
            "paused": {"failing_since": ago(days=3), "is_paused": True},
        },
        warns={
            "a microsecond more": {"failing_since": ago(hours=24, microseconds=1)},
            "nobody knows whether it is off in the LMS": {
                "failing_since": ago(days=3),
                "is_active": None,
            },
        },
    ),
    # More than 30 minutes warn, more than 240 fail.
    "assert_due_webhooks_are_sent": Proof(
        {"webhook_deliveries": [DUE], "endpoint_health": [ENDPOINT]},
        passes={
            "not due": only("webhook_deliveries", {**DUE, "next_attempt_at": NOW}),
            **{
                f"not pending but {state}": only("webhook_deliveries", {**OVERDUE, "state": state})
                for state in STATES
                if state != "pending"
            },
            "tried since": {
                **only("webhook_deliveries", OVERDUE),
                **only("endpoint_health", {**ENDPOINT, "last_attempt_at": ago(minutes=30)}),
            },
            "the endpoint is disabled": {
                **only("webhook_deliveries", OVERDUE),
                **only("endpoint_health", {**ENDPOINT, "disabled_at": ago(days=1)}),
            },
            "an operator has paused it": {
                **only("webhook_deliveries", OVERDUE),
                **only("endpoint_health", {**ENDPOINT, "is_paused": True}),
            },
            "the endpoint has asked to wait": {
                **only("webhook_deliveries", OVERDUE),
                **only("endpoint_health", {**ENDPOINT, "paused_until": NOW.replace(microsecond=1)}),
            },
            "the breaker is open": {
                **only("webhook_deliveries", OVERDUE),
                **only(
                    "endpoint_health",
                    {
                        **ENDPOINT,
                        "breaker_state": "open",
                        "next_probe_at": NOW.replace(microsecond=1),
                    },
                ),
            },
            "the endpoint is gone": {
                **only("webhook_deliveries", OVERDUE),
                **only(
                    "endpoint_health",
                    {**ENDPOINT, "endpoint_id": 0},
                    {**ENDPOINT, "endpoint_id": 2},
                ),
            },
        },
        warns={
            "a minute more": only("webhook_deliveries", OVERDUE),
            "the oldest counts": only("webhook_deliveries", DUE, OVERDUE),
            "another endpoint is in time": {
                **only("webhook_deliveries", OVERDUE, {**DUE, "endpoint_id": 2}),
                **only("endpoint_health", ENDPOINT, {**ENDPOINT, "endpoint_id": 2}),
            },
            "tried before it was due": {
                **only("webhook_deliveries", OVERDUE),
                **only("endpoint_health", {**ENDPOINT, "last_attempt_at": ago(days=1)}),
            },
            "tried long ago": {
                **only("webhook_deliveries", {**OVERDUE, "next_attempt_at": ago(days=1)}),
                **only("endpoint_health", {**ENDPOINT, "last_attempt_at": ago(minutes=31)}),
            },
            "the wait is over": {
                **only("webhook_deliveries", OVERDUE),
                **only("endpoint_health", {**ENDPOINT, "paused_until": NOW}),
            },
            "the probe is due": {
                **only("webhook_deliveries", OVERDUE),
                **only(
                    "endpoint_health",
                    {**ENDPOINT, "breaker_state": "open", "next_probe_at": NOW},
                ),
            },
            "no probe is planned": {
                **only("webhook_deliveries", OVERDUE),
                **only("endpoint_health", {**ENDPOINT, "breaker_state": "open"}),
            },
            "a state of another release": {
                **only("webhook_deliveries", OVERDUE),
                **only(
                    "endpoint_health",
                    {
                        **ENDPOINT,
                        "breaker_state": "recovering",
                        "next_probe_at": NOW.replace(microsecond=1),
                    },
                ),
            },
            "another endpoint has nothing to do": {
                **only("webhook_deliveries", OVERDUE),
                **only("endpoint_health", ENDPOINT, {**ENDPOINT, "endpoint_id": 2}),
            },
            "the breaker is half-open": {
                **only("webhook_deliveries", OVERDUE),
                **only("endpoint_health", {**ENDPOINT, "breaker_state": "half_open"}),
            },
            "a probe left over from before it closed": {
                **only("webhook_deliveries", OVERDUE),
                **only(
                    "endpoint_health", {**ENDPOINT, "next_probe_at": NOW.replace(microsecond=1)}
                ),
            },
            "four hours": only(
                "webhook_deliveries", {**OVERDUE, "next_attempt_at": ago(minutes=240)}
            ),
        },
        fails={
            "four hours and a minute": only(
                "webhook_deliveries", {**OVERDUE, "next_attempt_at": ago(minutes=241)}
            ),
            "no time is set, so that no run takes it": only(
                "webhook_deliveries", {**OVERDUE, "next_attempt_at": None}
            ),
            **{
                f"the worst is endpoint {worst} of two": {
                    "webhook_deliveries": [
                        {
                            **OVERDUE,
                            "endpoint_id": one,
                            "next_attempt_at": ago(minutes=241 if one == worst else 31),
                        }
                        for one in (1, 2)
                    ],
                    "endpoint_health": [ENDPOINT, {**ENDPOINT, "endpoint_id": 2}],
                }
                for worst in (1, 2)
            },
        },
    ),
    # Twenty at least; more than 10 in a thousand warn, more than 200 fail.
    "assert_few_webhooks_are_given_up": Proof(
        ended(1_000, 10),
        passes={
            "too few to say": ended(19, 19),
            "before yesterday": ended(1_000, 1_000, last_attempt_at=ago(hours=24, microseconds=1)),
            "never tried": ended(1_000, 1_000, last_attempt_at=None),
            "not at their end": {
                "webhook_deliveries": [
                    *copies(10, DEAD),
                    *copies(990, DELIVERED),
                    *copies(1_000, {**DEAD, "state": "pending"}),
                ]
            },
        },
        warns={
            "one more": ended(1_000, 11),
            "hardly more": ended(99, 1),
            "what has not ended helps nothing": {
                "webhook_deliveries": [
                    *ended(99, 1)["webhook_deliveries"],
                    *copies(1_000, {**DELIVERED, "state": "held"}),
                ]
            },
            "as many as may be": ended(20, 4),
        },
        fails={
            "too many": ended(1_000, 201),
            "hardly too many": ended(1_004, 201),
            "nothing else": ended(20, 20),
        },
    ),
    # A day.
    "assert_no_webhook_is_held_for_long": each_row(
        "webhook_deliveries",
        HELD,
        passes={
            "disabled": {"recorded_at": ago(days=9), "state_reason": "endpoint_disabled"},
            "withdrawn": {"recorded_at": ago(days=9), "state_reason": "no_longer_reportable"},
            **{
                f"not held but {state}": {"recorded_at": ago(days=9), "state": state}
                for state in STATES
                if state != "held"
            },
        },
        warns={
            "a microsecond more": {"recorded_at": ago(hours=24, microseconds=1)},
            "no reason": {"recorded_at": ago(days=9), "state_reason": None},
        },
    ),
    # Twenty at least; more than 50 in a thousand that are off by a tenth and by a minute warn.
    "assert_sent_numbers_still_hold": Proof(
        sent(20, 1),
        passes={
            "too few to say": sent(19, 19),
            "before last week": sent(20, 20, frozen_at=ago(days=7, microseconds=1)),
            "an enrollment's": sent(20, 20, event_type="course_enrollment"),
            "another event's": sent(20, 20, event_type="certificate"),
            "sent without a number": sent(20, 20, enrichment_outcome="timed_out"),
            "sent with the flag off": sent(20, 20, enrichment_outcome="flag_off"),
            "too few that are in the mart": only(
                "webhook_deliveries",
                *sent(19, 19)["webhook_deliveries"],
                {**SENT, "user_id": 2},
            ),
            "too few that were sent": {
                **sent(19, 19),
                **only("completion_learning_time", TODAY, {**TODAY, "user_id": 2}),
            },
            "not known what became of it": sent(20, 20, enrichment_outcome=None),
            "a tenth more": all_now(1_100),
            "a tenth less": all_now(900),
            **{
                f"another {column}: {value}": all_now(9_000, **{column: value})
                for column, values in {
                    "enterprise_customer_uuid": ("0" * 36, "f" * 36),
                    "user_id": (-1, 99),
                    "courserun_key": ("a", "d"),
                    "passed_at": (ago(days=8), NOW),
                }.items()
                for value in values
            },
            "a minute of a short time": all_now(160, was=100),
            "a minute less of a short time": all_now(40, was=100),
        },
        warns={
            "two of twenty": sent(20, 2),
            "hardly too many": sent(1_199, 60),
            "more than a tenth more": all_now(1_101),
            "more than a tenth less": all_now(899),
            "more than a minute of a short time": all_now(161, was=100),
            "more than a minute less of a short time": all_now(39, was=100),
        },
    ),
    # Passed on a day before the last detection and a day.
    "assert_completions_are_detected": Proof(
        {
            "delivery_reconciliation": [
                {
                    "enterprise_customer_uuid": ENTERPRISE_UUID,
                    "passed_date": date(2026, 3, 9),
                    "undetected": 1,
                }
            ],
            "stg_sync__webhooks": [{"recorded_at": NOW}],
        },
        passes={
            "detected": only(
                "delivery_reconciliation", {"passed_date": date(2026, 3, 1), "undetected": 0}
            ),
            "nothing was ever recorded": {
                **only(
                    "delivery_reconciliation", {"passed_date": date(2026, 3, 1), "undetected": 1}
                ),
                "stg_sync__webhooks": [],
            },
        },
        warns={
            "a day earlier": only(
                "delivery_reconciliation", {"passed_date": date(2026, 3, 8), "undetected": 1}
            ),
            "the last detection counts": {
                **only(
                    "delivery_reconciliation", {"passed_date": date(2026, 3, 8), "undetected": 1}
                ),
                **only("stg_sync__webhooks", {"recorded_at": ago(days=5)}, {"recorded_at": NOW}),
            },
        },
    ),
}
