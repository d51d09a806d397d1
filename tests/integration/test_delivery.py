"""From a completion in the mart to a request at a real receiver, through the ledger."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from standardwebhooks import Webhook

from sync.delivery.record import Recorded
from sync.domain.circuit_breaker import TRIP_IN_A_ROW
from tests.support.completions import add_completions, completion
from tests.support.marts import (
    create_endpoints,
    endpoint,
)
from tests.support.pipeline import (
    ACTIVATED_AT,
    OTHER_ENTERPRISE,
    PASSED_AT,
    SECRET,
    Pipeline,
)
from tests.support.receiver import Receiver


def test_each_completion_is_sent_once_with_a_verifiable_signature(pipeline: Pipeline) -> None:
    assert pipeline.detect() == Recorded(ACTIVATED_AT, awaiting=2, suppressed=0)
    pipeline.build()
    pipeline.send()
    assert pipeline.detect() == Recorded(ACTIVATED_AT, awaiting=0, suppressed=0)
    pipeline.build()
    pipeline.send()
    assert len(pipeline.target.received) == 2
    assert {json.loads(one.body)["learner"]["user_id"] for one in pipeline.target.received} == {
        1,
        2,
    }
    for one in pipeline.target.received:
        Webhook(SECRET).verify(one.body.decode(), one.headers)
    assert [row["state"] for row in pipeline.rows("state")] == ["delivered", "delivered"]


def test_a_failure_is_retried_later_with_the_same_id_and_bytes(pipeline: Pipeline) -> None:
    pipeline.target.answers["/hooks"] = (500, {})
    now = pipeline.clock()
    pipeline.clock = lambda: now
    pipeline.detect()
    pipeline.build()
    pipeline.send()
    assert len(pipeline.target.received) == 2
    row = pipeline.rows("state, attempt_count, next_attempt_at, delivered_at")[0]
    assert (row["state"], row["attempt_count"], row["delivered_at"]) == ("pending", 1, None)
    assert isinstance(row["next_attempt_at"], datetime)
    assert timedelta(seconds=3) < row["next_attempt_at"] - now < timedelta(seconds=7)
    pipeline.target.answers.clear()
    pipeline.later(timedelta(seconds=10))
    pipeline.send()
    first, second = pipeline.target.received[:2], pipeline.target.received[2:]
    assert {(one.webhook_id, one.body) for one in first} == {
        (one.webhook_id, one.body) for one in second
    }
    attempts = pipeline.warehouse.rows(
        "select attempt_number, outcome, status_code from analytics.sync.webhook_attempts"
        " order by attempt_number, webhook_id"
    )
    assert [(a["attempt_number"], a["outcome"], a["status_code"]) for a in attempts] == [
        (1, "retry", 500),
        (1, "retry", 500),
        (2, "delivered", 200),
        (2, "delivered", 200),
    ]


def test_an_endpoint_that_is_gone_is_disabled_and_its_other_webhooks_are_held(
    pipeline: Pipeline,
) -> None:
    pipeline.target.answers["/hooks"] = (410, {})
    pipeline.detect()
    pipeline.build()
    pipeline.send(per_endpoint=1, batch_size=1)
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT)])
    pipeline.detect()
    pipeline.build()
    report = pipeline.send()
    assert report.unusable == {1: "endpoint_disabled"}
    assert pipeline.rows("state, state_reason")[2] == {
        "state": "held",
        "state_reason": "endpoint_disabled",
    }
    pipeline.warehouse.execute(
        "update analytics.sync.endpoint_state set disabled_at = null, disabled_reason = null"
    )
    pipeline.target.answers.clear()
    pipeline.send()
    assert pipeline.rows("state")[2] == {"state": "delivered"}


def test_an_open_circuit_breaker_delays_no_other_endpoint(
    pipeline: Pipeline, target: Receiver
) -> None:
    other = OTHER_ENTERPRISE
    many = [completion(n, PASSED_AT) for n in range(10, 30)]
    healthy = completion(40, PASSED_AT, enterprise_customer_uuid=other)
    add_completions(pipeline.warehouse, [*many, healthy])
    create_endpoints(
        pipeline.warehouse,
        [
            endpoint(1, f"{target.url}/hooks/broken"),
            endpoint(2, f"{target.url}/hooks/fine", enterprise_customer_uuid=other),
        ],
    )
    target.answers["/hooks/broken"] = (503, {})
    pipeline.detect()
    pipeline.build()
    report = pipeline.send(per_endpoint=2)
    tried = [one for one in target.received if one.path == "/hooks/broken"]
    assert TRIP_IN_A_ROW <= len(tried) < TRIP_IN_A_ROW + 2
    assert report.released == 22 - len(tried)
    assert pipeline.rows("state")[-1] == {"state": "delivered"}
    untried = [row for row in pipeline.rows("attempt_count, state") if row["attempt_count"] == 0]
    assert len(untried) == report.released, "a row that was not tried is not charged"


def test_statements_of_a_run_grow_with_batches_and_not_with_webhooks(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A slow machine settles a batch in parts.
    monkeypatch.setattr("sync.delivery.scheduler.SETTLE_AFTER", timedelta(hours=1))

    def statements(users: range) -> int:
        add_completions(pipeline.warehouse, [completion(n, PASSED_AT) for n in users])
        before = pipeline.warehouse.statements
        pipeline.detect()
        pipeline.build()
        pipeline.send()
        return pipeline.warehouse.statements - before

    statements(range(3, 4))
    few, many = statements(range(10, 15)), statements(range(100, 300))
    assert many == few
    assert len(pipeline.target.received) == 2 + 1 + 5 + 200


def test_a_status_that_an_endpoint_calls_final_is_a_dead_letter_at_once(
    pipeline: Pipeline,
) -> None:
    picky = endpoint(1, f"{pipeline.target.url}/hooks/x", final_status_codes="400, 422")
    create_endpoints(pipeline.warehouse, [picky])
    pipeline.target.answers["/hooks"] = (422, {})
    pipeline.detect()
    pipeline.build()
    pipeline.send()
    assert {
        (row["state"], row["state_reason"]) for row in pipeline.rows("state, state_reason")
    } == {("dead", "final_status")}
