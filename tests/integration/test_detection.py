"""Which events a run records, once each, and from when on they are sent."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from sync.delivery.record import Recorded
from sync.warehouse import RelationMissing, Warehouse
from tests.support.completions import (
    COURSE_RUN,
    ENTERPRISE,
    add_completions,
    completion,
    webhook_id,
)
from tests.support.pipeline import (
    ACTIVATED_AT,
    PASSED_AT,
    Pipeline,
)
from tests.support.receiver import Receiver


def test_a_completion_before_the_activation_is_recorded_and_never_sent(pipeline: Pipeline) -> None:
    add_completions(pipeline.warehouse, [completion(3, "2026-02-27T00:00:00")])
    assert pipeline.detect() == Recorded(ACTIVATED_AT, awaiting=2, suppressed=1)
    pipeline.build()
    pipeline.send()
    assert len(pipeline.target.received) == 2
    assert pipeline.rows("state, state_reason")[2] == {
        "state": "suppressed",
        "state_reason": "before_activation",
    }


def test_a_learner_without_a_mail_address_is_sent_with_an_empty_one(pipeline: Pipeline) -> None:
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT, email=None)])
    pipeline.detect()
    pipeline.build()
    pipeline.send()
    sent = [json.loads(one.body)["learner"] for one in pipeline.target.received]
    assert {one["user_id"]: one["email"] for one in sent} == {
        1: "learner_1@example.com",
        2: "learner_2@example.com",
        3: "",
    }


def test_the_first_activation_time_stands(pipeline: Pipeline) -> None:
    pipeline.detect()
    add_completions(pipeline.warehouse, [completion(3, "2026-02-27T00:00:00")])
    outcome = pipeline.detect(activated_at=datetime(2020, 1, 1))
    assert outcome == Recorded(ACTIVATED_AT, awaiting=0, suppressed=1)


def test_without_a_setting_the_first_run_is_the_activation(pipeline: Pipeline) -> None:
    outcome = pipeline.detect(activated_at=None)
    assert isinstance(outcome, Recorded)
    assert (outcome.awaiting, outcome.suppressed) == (0, 2)


def test_a_batch_above_the_guard_is_not_recorded_until_it_is_allowed(pipeline: Pipeline) -> None:
    assert not isinstance(pipeline.detect(mass_send_limit=1), Recorded)
    assert pipeline.rows("webhook_id") == []
    outcome = pipeline.detect(mass_send_limit=1, allow_mass_send=True)
    assert outcome == Recorded(ACTIVATED_AT, awaiting=2, suppressed=0)


def test_detection_before_the_first_build_says_what_to_do(
    warehouse: Warehouse, target: Receiver, tmp_path: Path
) -> None:
    with pytest.raises(RelationMissing, match="run learning_time_job, or `dbt build`"):
        Pipeline(warehouse, target, tmp_path).detect()


def test_an_event_without_a_part_of_its_key_gets_no_id_and_holds_up_no_other(
    pipeline: Pipeline,
) -> None:
    """Snowflake would give all of them the same id, that of the empty name."""
    parts = ("enterprise_customer_uuid", "user_id", "courserun_key")
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT) | {one: None} for one in parts])
    assert pipeline.detect() == Recorded(ACTIVATED_AT, awaiting=2, suppressed=0)


def test_the_warehouse_and_python_mint_the_same_id(pipeline: Pipeline) -> None:
    pipeline.detect()
    assert {row["webhook_id"] for row in pipeline.rows("webhook_id")} == {
        webhook_id("course_completion", ENTERPRISE, user_id, COURSE_RUN) for user_id in (1, 2)
    }
    assert (
        webhook_id("course_completion", ENTERPRISE, 1, COURSE_RUN)
        == "2ec0acb6-9811-54aa-9664-a87ac95ae27f"
    ), "ids that customers have seen can never change"
