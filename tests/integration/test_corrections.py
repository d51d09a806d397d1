"""Corrections, for a completion whose learning time changes after it was sent."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from sync.delivery.record import ALWAYS, NOTHING_TO_CORRECT, OverLimit, Recorded
from sync.domain.rollout import Rollout
from sync.domain.states import Reason, State
from sync.errors import ConfigurationError
from sync.ledger.erasures import begin_erasure, erase_from_ledger, person_key
from sync.operations.endpoint_settings import change_settings
from sync.operations.replay import Replay
from sync.operations.reroute import Reroute
from sync.warehouse import Warehouse
from tests.support.completions import COURSE_RUN, ENTERPRISE, completion, webhook_id
from tests.support.corrections import a_day_later, stand_corrections
from tests.support.dbt import Dbt
from tests.support.event_types import COMPLETIONS, CORRECTIONS
from tests.support.marts import (
    ANY_RECEIVER,
    LEARNING_TIME_COLUMNS,
    create_endpoints,
    create_marts,
    create_table,
    endpoint,
    point_endpoints,
)
from tests.support.pipeline import OTHER_ENTERPRISE, PASSED_AT, Pipeline, learning_time
from tests.support.receiver import Receiver
from tests.support.scenarios import Scenarios

TOLD = 26_964
MOVED = 30_000
FIRST = webhook_id(COMPLETIONS.name, ENTERPRISE, 1, COURSE_RUN)


@pytest.fixture
def told(
    scenarios: Scenarios, warehouse: Warehouse, target: Receiver, tmp_path: Path, dbt: Dbt
) -> Pipeline:
    """An endpoint that opts in to corrections has received one completion."""

    def make(warehouse: Warehouse) -> None:
        stand_corrections(scenarios, dbt)
        create_marts(
            warehouse,
            completions=[completion(1, PASSED_AT)],
            endpoints=[asking(target)],
            learning_times=[learning_time(1)],
        )
        pipeline = Pipeline(warehouse, target, tmp_path / "before")
        pipeline.detect()
        pipeline.build(enabled=True)
        pipeline.send()
        assert [one.webhook_id for one in target.received] == [FIRST]
        target.received.clear()
        point_endpoints(warehouse, ANY_RECEIVER, instead_of=target.url)

    scenarios.stand("told of one completion", make)
    point_endpoints(warehouse, target.url)
    return Pipeline(warehouse, target, tmp_path)


def asking(target: Receiver, endpoint_id: int = 1, **changes: object) -> dict[str, object]:
    return endpoint(
        endpoint_id, f"{target.url}/hooks/example", **{"event_types": CORRECTIONS.name} | changes
    )


def now_is(pipeline: Pipeline, seconds: int, **changes: object) -> None:
    """Set the mart's current number."""
    row = learning_time(1, learning_time_seconds=seconds, **changes)
    create_table(pipeline.warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, [row])


def run(pipeline: Pipeline, *, enabled: bool = True) -> object:
    """Record, build and send corrections; returns what was recorded."""
    found = pipeline.detect(source=CORRECTIONS)
    pipeline.build(enabled=enabled)
    pipeline.send()
    return found


def corrections(pipeline: Pipeline) -> list[tuple[int, int]]:
    """Number and seconds of each received correction."""
    bodies = [json.loads(one.body) for one in pipeline.target.received]
    return [
        (one["correction"]["number"], one["learning_time"]["total_seconds"])
        for one in bodies
        if one["event_type"] == CORRECTIONS.name
    ]


def first_message(pipeline: Pipeline) -> str:
    """The first message to the customer, from the ledger."""
    (row,) = pipeline.warehouse.rows(
        "select body from analytics.sync.webhook_messages where webhook_id = ?", FIRST
    )
    return row["body"]


def state(pipeline: Pipeline) -> tuple[str, str | None]:
    """State and reason of the newest correction."""
    row = pipeline.warehouse.rows(
        "select state, state_reason from analytics.sync.webhook_outbox"
        " where correction_number is not null order by correction_number desc limit 1"
    )[0]
    return row["state"], row["state_reason"]


def test_a_number_that_has_moved_is_told_once_and_the_first_message_stays(told: Pipeline) -> None:
    first = first_message(told)
    now_is(told, MOVED)
    for _ in range(2):
        run(told)
        a_day_later(told.warehouse)
    (correction,) = told.target.received
    assert correction.webhook_id == webhook_id(CORRECTIONS.name, ENTERPRISE, 1, COURSE_RUN, 1)
    body = json.loads(correction.body)
    assert body["correction"] == {"corrects": FIRST, "number": 1}
    assert body["learning_time"]["total_seconds"] == MOVED
    assert body["completion"] == json.loads(first)["completion"]
    assert first_message(told) == first


def test_a_number_within_the_tolerance_or_still_moving_is_not_told(told: Pipeline) -> None:
    now_is(told, TOLD + 2_696)
    assert run(told) == Recorded(ALWAYS, awaiting=0, suppressed=0)
    now_is(told, TOLD + 2_697, last_loaded_at="2026-03-11T00:00:00.000001")
    run(told)
    assert corrections(told) == []
    now_is(told, TOLD + 2_697, last_loaded_at="2026-03-11T00:00:00")
    run(told)
    assert corrections(told) == [(1, TOLD + 2_697)]


def test_a_completion_is_corrected_once_a_day_and_three_times(told: Pipeline) -> None:
    for seconds in (30_000, 40_000, 50_000, 60_000):
        now_is(told, seconds)
        run(told)
        now_is(told, seconds + 7_000)
        run(told)
        a_day_later(told.warehouse)
    assert corrections(told) == [(1, 30_000), (2, 40_000), (3, 50_000)]


def test_nothing_is_asked_and_nothing_recorded_while_nobody_wants_corrections(
    told: Pipeline,
) -> None:
    now_is(told, MOVED)
    sent = told.warehouse.statements
    assert told.detect(source=CORRECTIONS, is_enriching=False) == NOTHING_TO_CORRECT
    assert told.warehouse.statements == sent, "with the flag off there is nothing to ask"
    create_endpoints(told.warehouse, [endpoint(1, f"{told.target.url}/hooks/example")])
    sent = told.warehouse.statements
    assert told.detect(source=CORRECTIONS) == NOTHING_TO_CORRECT
    assert told.warehouse.statements == sent + 1, "whether anybody asks"
    assert corrections(told) == []


def test_a_correction_whose_drift_is_gone_when_it_is_built_is_suppressed(told: Pipeline) -> None:
    now_is(told, MOVED)
    told.detect(source=CORRECTIONS)
    now_is(told, TOLD)
    told.build(enabled=True)
    told.send()
    assert state(told) == (State.SUPPRESSED, Reason.CORRECTION_NOT_NEEDED)
    assert corrections(told) == []


@pytest.mark.parametrize(
    ("enabled", "rollout"),
    [
        (False, Rollout()),
        (True, Rollout(0)),
        (True, Rollout(enterprises=frozenset([OTHER_ENTERPRISE]))),
    ],
)
def test_a_customer_who_is_not_enriched_any_more_gets_no_correction(
    told: Pipeline, enabled: bool, rollout: Rollout
) -> None:
    now_is(told, MOVED)
    told.detect(source=CORRECTIONS)
    told.build(enabled=enabled, rollout=rollout)
    told.send()
    assert state(told) == (State.SUPPRESSED, Reason.CORRECTION_WITHOUT_NUMBER)
    assert corrections(told) == []


def test_a_correction_that_is_suppressed_can_be_replayed_and_is_decided_anew(
    told: Pipeline,
) -> None:
    now_is(told, MOVED)
    run(told, enabled=False)
    replay = Replay.read({"state": "suppressed", "state_reason": "correction_without_number"})
    replay.apply(told.warehouse, told.clock, confirmed=1, by="tests")
    told.build(enabled=True)
    told.send()
    assert corrections(told) == [(1, MOVED)]


def test_a_correction_that_is_replayed_after_a_later_one_was_told_is_not_sent(
    told: Pipeline,
) -> None:
    """The highest number counts: a receiver would ignore a lower one, so a new one is sent."""
    now_is(told, MOVED)
    run(told, enabled=False)
    a_day_later(told.warehouse)
    run(told)
    now_is(told, 2 * MOVED)
    Replay.read({"state": "suppressed"}).apply(told.warehouse, told.clock, confirmed=1, by="tests")
    run(told)
    assert corrections(told) == [(2, MOVED)]
    a_day_later(told.warehouse)
    run(told)
    assert corrections(told) == [(2, MOVED), (3, 2 * MOVED)]


def test_a_correction_that_waits_or_is_dead_blocks_the_next(told: Pipeline) -> None:
    told.target.answers["/hooks"] = (410, {})
    now_is(told, MOVED)
    run(told)
    assert state(told) == (State.DEAD, Reason.ENDPOINT_GONE)
    a_day_later(told.warehouse)
    now_is(told, 2 * MOVED)
    assert run(told) == Recorded(ALWAYS, awaiting=0, suppressed=0)
    told.warehouse.execute("delete from analytics.sync.endpoint_state")
    told.target.answers.clear()
    told.target.received.clear()
    Replay.read({"state": "dead"}).apply(told.warehouse, told.clock, confirmed=1, by="tests")
    assert run(told) == Recorded(ALWAYS, awaiting=0, suppressed=0)
    assert corrections(told) == [(1, MOVED)]
    a_day_later(told.warehouse)
    run(told)
    assert corrections(told) == [(1, MOVED), (2, 2 * MOVED)]


def test_a_completion_that_is_replayed_is_corrected_as_before(told: Pipeline) -> None:
    now_is(told, MOVED)
    Replay.read({"webhook_ids": [FIRST]}).apply(told.warehouse, told.clock, confirmed=1, by="tests")
    run(told)
    assert corrections(told) == [(1, MOVED)]
    assert [one.webhook_id for one in told.target.received].count(FIRST) == 1


def test_a_correction_is_held_while_its_learner_may_not_be_reported(told: Pipeline) -> None:
    now_is(told, MOVED)
    told.detect(source=CORRECTIONS)
    told.warehouse.execute("delete from analytics.marts.completed_enrollments")
    told.build(enabled=True)
    assert state(told) == (State.HELD, Reason.NO_LONGER_REPORTABLE)
    create_marts(
        told.warehouse,
        completions=[completion(1, PASSED_AT)],
        endpoints=[asking(told.target)],
        learning_times=[learning_time(1, learning_time_seconds=MOVED)],
    )
    told.build(enabled=True)
    told.send()
    assert corrections(told) == [(1, MOVED)]


def test_a_course_run_that_was_passed_anew_is_not_corrected(told: Pipeline) -> None:
    now_is(told, MOVED)
    told.detect(source=CORRECTIONS)
    now_is(told, 2 * MOVED, passed_at="2026-03-11T09:00:00")
    told.build(enabled=True)
    assert state(told) == (State.SUPPRESSED, Reason.CORRECTION_NOT_NEEDED)
    a_day_later(told.warehouse)
    run(told)
    assert corrections(told) == []


def test_an_erased_learner_is_not_corrected(told: Pipeline) -> None:
    now_is(told, MOVED)
    told.detect(source=CORRECTIONS)
    key, now = person_key(1), told.clock()
    begin_erasure(told.warehouse, key, requested_by="tests", reason="", now=now)
    erase_from_ledger(told.warehouse, key, now=now)
    assert state(told) == (State.SUPPRESSED, Reason.ERASED)
    a_day_later(told.warehouse)
    run(told)
    assert corrections(told) == []


def test_a_correction_goes_where_its_customer_s_messages_go_now_if_that_endpoint_asks(
    told: Pipeline,
) -> None:
    """The first endpoint is gone; of the customer's two, the one for the region counts."""
    others = [
        endpoint(2, f"{told.target.url}/hooks/us", region="US"),
        asking(told.target, 3),
    ]
    create_endpoints(told.warehouse, others)
    now_is(told, MOVED)
    run(told)
    assert state(told) == (State.SUPPRESSED, Reason.NOT_ASKED_FOR)
    create_endpoints(told.warehouse, [others[0] | {"event_types": CORRECTIONS.name}])
    a_day_later(told.warehouse)
    run(told)
    assert corrections(told) == [(2, MOVED)]
    assert told.target.received[-1].path == "/hooks/us"


def test_a_correction_that_was_tried_is_rerouted_like_any_message(told: Pipeline) -> None:
    told.target.answers["/hooks/example"] = (500, {})
    now_is(told, MOVED)
    run(told)
    create_endpoints(
        told.warehouse, [asking(told.target, 2) | {"url": f"{told.target.url}/hooks/new"}]
    )
    told.later(timedelta(minutes=11))
    Reroute.read({}).apply(told.warehouse, told.clock, confirmed=1, by="tests")
    told.send()
    assert told.target.received[-1].path == "/hooks/new"
    assert state(told) == (State.DELIVERED, None)


def test_the_mass_send_guard_holds_corrections_back_as_well(told: Pipeline) -> None:
    now_is(told, MOVED)
    found = told.detect(source=CORRECTIONS, mass_send_limit=0)
    assert found == OverLimit(ALWAYS, found=1, limit=0)


def test_a_format_without_a_body_for_corrections_takes_none(told: Pipeline) -> None:
    percipio, asks = {"payload_format": "percipio"}, {"event_types": CORRECTIONS.name}
    for first, then in ((percipio | {"event_types": ""}, asks), (asks, percipio)):
        change_settings(told.warehouse, 1, clock=told.clock, payload_format="v2")
        change_settings(told.warehouse, 1, clock=told.clock, **first)
        with pytest.raises(
            ConfigurationError, match=r"percipio has no body for .*, only for course_comp"
        ):
            change_settings(told.warehouse, 1, clock=told.clock, **then)
