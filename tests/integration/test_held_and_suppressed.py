"""Unsent webhooks: held until something is repaired, or suppressed with the reason."""

from __future__ import annotations

import json

from tests.support.completions import ENTERPRISE, add_completions, completion
from tests.support.delivery import enterprise
from tests.support.marts import (
    create_endpoints,
    endpoint,
)
from tests.support.pipeline import (
    OTHER_ENTERPRISE,
    PASSED_AT,
    Pipeline,
)
from tests.support.receiver import Receiver

CANNOT_TAKE_IT: dict[int, tuple[dict[str, object], str]] = {
    1: ({"url": "ftp://example.com/x"}, "endpoint_invalid"),
    2: ({"is_active": False}, "endpoint_inactive"),
    3: ({"endpoint_id": 99}, "endpoint_missing"),
}
"""Endpoints, how each changes after its webhook was built, and the reason it is held."""


def test_a_built_webhook_is_held_while_its_endpoint_cannot_take_it(pipeline: Pipeline) -> None:
    customer = {1: ENTERPRISE} | {n: enterprise(n) for n in (2, 3)}
    good = {
        n: endpoint(n, f"{pipeline.target.url}/hooks", enterprise_customer_uuid=one)
        for n, one in customer.items()
    }
    pipeline.warehouse.execute(
        "delete from analytics.marts.completed_enrollments where user_id > 1"
    )
    add_completions(
        pipeline.warehouse,
        [completion(n, PASSED_AT, enterprise_customer_uuid=customer[n]) for n in (2, 3)],
    )
    create_endpoints(pipeline.warehouse, good.values())
    pipeline.detect()
    pipeline.build()
    create_endpoints(
        pipeline.warehouse, [good[n] | change for n, (change, _) in CANNOT_TAKE_IT.items()]
    )
    report = pipeline.send()
    assert report.unusable == {n: reason for n, (_, reason) in CANNOT_TAKE_IT.items()}
    assert "https://" in report.problems[1]
    assert {row["user_id"]: row["state_reason"] for row in pipeline.rows("*")} == report.unusable
    create_endpoints(pipeline.warehouse, good.values())
    pipeline.send()
    assert [row["state"] for row in pipeline.rows("state")] == ["delivered"] * 3


def test_a_missing_signing_key_holds_and_names_the_setting(pipeline: Pipeline) -> None:
    pipeline.secrets = {}
    pipeline.detect()
    pipeline.build()
    report = pipeline.send()
    assert report.unusable == {1: "signing_key_missing"}
    assert "LTW_SECRET_WEBHOOK_SIGNING_1" in report.problems[1]
    assert pipeline.target.received == []


def test_a_tried_message_is_held_while_its_endpoints_id_is_another_customers(
    pipeline: Pipeline,
) -> None:
    """The id may be reassigned; the message goes to no other customer and is not forgotten."""
    own = endpoint(1, f"{pipeline.target.url}/hooks/example")
    pipeline.detect()
    pipeline.build()
    pipeline.warehouse.execute("update analytics.sync.webhook_outbox set fence = 1")
    create_endpoints(pipeline.warehouse, [own | {"enterprise_customer_uuid": OTHER_ENTERPRISE}])
    pipeline.send()
    rows = pipeline.rows("state, state_reason")
    assert rows == [{"state": "held", "state_reason": "endpoint_missing"}] * 2
    assert pipeline.target.received == []
    create_endpoints(pipeline.warehouse, [own])
    pipeline.send()
    assert {row["state"] for row in pipeline.rows("state")} == {"delivered"}


def test_an_enterprise_without_an_endpoint_is_suppressed_with_that_reason(
    pipeline: Pipeline,
) -> None:
    create_endpoints(pipeline.warehouse, [])
    pipeline.detect()
    assert pipeline.build().suppressed == {"no_endpoint": 2}
    assert {row["state_reason"] for row in pipeline.rows("state_reason")} == {"no_endpoint"}


def test_an_unreadable_endpoint_row_holds_its_enterprise_and_nobody_else(
    pipeline: Pipeline, target: Receiver
) -> None:
    other = OTHER_ENTERPRISE
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT, enterprise_customer_uuid=other)])
    broken = endpoint(2, f"{target.url}/hooks/x", enterprise_customer_uuid=other, region="UK")
    rows = [endpoint(1, f"{target.url}/hooks/example"), broken]
    create_endpoints(pipeline.warehouse, rows)
    pipeline.detect()
    report = pipeline.build()
    assert report.held == {"endpoint_row_invalid": 1}
    assert "endpoint 2: region" in next(iter(report.problems))
    pipeline.send()
    assert [row["state"] for row in pipeline.rows("state")] == ["delivered", "delivered", "held"]
    rows[1] = broken | {"region": "OTHER"}
    create_endpoints(pipeline.warehouse, rows)
    pipeline.build()
    pipeline.send()
    assert pipeline.rows("state")[2] == {"state": "delivered"}


def test_a_completion_that_cannot_be_rendered_is_held_and_stops_nobody(pipeline: Pipeline) -> None:
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT, percent_grade=None)])
    pipeline.detect()
    report = pipeline.build()
    assert report.held == {"payload_invalid": 1}
    assert "percent_grade" in next(iter(report.problems))
    pipeline.send()
    assert [row["state"] for row in pipeline.rows("state")] == ["delivered", "delivered", "held"]


def test_a_percipio_completion_without_identity_is_held_until_the_identity_is_known(
    pipeline: Pipeline,
) -> None:
    percipio = endpoint(1, f"{pipeline.target.url}/hooks/example", payload_format="percipio")
    create_endpoints(pipeline.warehouse, [percipio])
    pipeline.detect()
    report = pipeline.build()
    assert report.held == {"identity_missing": 2}
    assert "single sign-on" in next(iter(report.problems))
    pipeline.warehouse.execute(
        "update analytics.marts.completed_enrollments"
        " set percipio_user_id = 'u-1', percipio_organization_id = 'org' where user_id = 1"
    )
    assert pipeline.build().built == {"flag_off": 1}
    pipeline.send()
    assert [json.loads(one.body)["user"] for one in pipeline.target.received] == ["u-1"]
    assert [row["state"] for row in pipeline.rows("state")] == ["delivered", "held"]


def test_a_held_completion_is_not_sent_once_the_marts_no_longer_hold_it(
    pipeline: Pipeline,
) -> None:
    good = endpoint(1, f"{pipeline.target.url}/hooks/example")
    off = good | {"is_active": False}
    create_endpoints(pipeline.warehouse, [off])
    pipeline.detect()
    assert pipeline.build().held == {"no_active_endpoint": 2}
    pipeline.warehouse.execute(
        "delete from analytics.marts.completed_enrollments where user_id = 1"
    )
    create_endpoints(pipeline.warehouse, [good])
    assert pipeline.build().held == {"no_longer_reportable": 1}
    pipeline.send()
    assert [json.loads(one.body)["learner"]["user_id"] for one in pipeline.target.received] == [2]
    assert pipeline.rows("state, state_reason")[0] == {
        "state": "held",
        "state_reason": "no_longer_reportable",
    }
    add_completions(pipeline.warehouse, [completion(1, PASSED_AT)])
    assert pipeline.build().built == {"flag_off": 1}, "consent was given again"


def test_a_built_message_that_waits_for_its_endpoint_is_not_sent_once_consent_is_withdrawn(
    pipeline: Pipeline,
) -> None:
    good = endpoint(1, f"{pipeline.target.url}/hooks/example")
    off = good | {"is_active": False}
    pipeline.detect()
    pipeline.build()
    create_endpoints(pipeline.warehouse, [off])
    pipeline.send()
    marts = "analytics.marts.completed_enrollments"
    pipeline.warehouse.execute(f"delete from {marts} where user_id = 1")
    pipeline.build()
    pipeline.send()
    reasons = ["no_longer_reportable", "endpoint_inactive"]
    assert [row["state_reason"] for row in pipeline.rows("state_reason")] == reasons
    create_endpoints(pipeline.warehouse, [good])
    pipeline.build()
    pipeline.send()
    assert [json.loads(one.body)["learner"]["user_id"] for one in pipeline.target.received] == [2]
    add_completions(pipeline.warehouse, [completion(1, PASSED_AT)])
    pipeline.build()
    pipeline.send()
    assert [row["state"] for row in pipeline.rows("state")] == ["delivered", "delivered"]


def test_a_row_that_is_held_for_another_reason_than_before_says_the_new_one(
    pipeline: Pipeline,
) -> None:
    off = endpoint(1, f"{pipeline.target.url}/hooks/example", is_active=False)
    create_endpoints(pipeline.warehouse, [off])
    pipeline.detect()
    pipeline.build()
    percipio = off | {"is_active": True, "payload_format": "percipio"}
    create_endpoints(pipeline.warehouse, [percipio])
    pipeline.build()
    assert {row["state_reason"] for row in pipeline.rows("state_reason")} == {"identity_missing"}


def test_no_other_endpoint_stands_in_for_one_that_is_unreadable_until_that_is_switched_off(
    pipeline: Pipeline,
) -> None:
    elsewhere = {"enterprise_customer_uuid": OTHER_ENTERPRISE}
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT, **elsewhere)])
    url = f"{pipeline.target.url}/other"
    endpoints = [
        endpoint(1, "", region="US"),
        endpoint(2, url),
        endpoint(3, "", region="US", is_active=False, **elsewhere),
        endpoint(4, url, **elsewhere),
    ]
    create_endpoints(pipeline.warehouse, endpoints)
    pipeline.detect()
    pipeline.build()
    pipeline.send()
    rows = pipeline.rows("state, state_reason")
    assert [(row["state"], row["state_reason"]) for row in rows] == [
        ("held", "endpoint_row_invalid"),
        ("held", "endpoint_row_invalid"),
        ("delivered", None),
    ]
