"""Withdrawn consent and a changed address, at every stage of a message.

A learner without consent, link, customer or account has no row in the mart, as simulated here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from sync.operations.backfill import Backfill
from sync.operations.replay import Replay, ReplayState
from sync.operations.reroute import Reroute
from tests.support.event_types import ENROLLMENTS
from tests.support.marts import (
    ENROLLMENT_COLUMNS,
    create_endpoints,
    create_table,
    endpoint,
)
from tests.support.marts import enrollment as enrolled
from tests.support.operator import carry_out
from tests.support.pipeline import Pipeline

MARTS = "analytics.marts"
OUTBOX = "analytics.sync.webhook_outbox"
Then = Callable[[], object]
"""The action that releases the message after the marts have changed."""


def endpoints(pipeline: Pipeline, **changes: object) -> None:
    row = endpoint(1, f"{pipeline.target.url}/x") | changes
    create_endpoints(pipeline.warehouse, [row])


def built(pipeline: Pipeline) -> None:
    pipeline.detect()
    pipeline.build()


def switch(pipeline: Pipeline, disabled_at: str) -> None:
    pipeline.warehouse.execute(
        f"update analytics.sync.endpoint_state set disabled_at = {disabled_at}"
    )


def recorded(pipeline: Pipeline) -> Then:
    pipeline.detect()
    return lambda: None


def waits_for_learning_time(pipeline: Pipeline) -> Then:
    pipeline.detect()
    assert pipeline.build(enabled=True).waiting == {"not_yet": 2}
    return lambda: None


def identity_missing(pipeline: Pipeline) -> Then:
    endpoints(pipeline, payload_format="percipio")
    built(pipeline)
    assert len(held(pipeline)) == 2
    return lambda: endpoints(pipeline)


def no_active_endpoint(pipeline: Pipeline) -> Then:
    endpoints(pipeline, is_active=False)
    built(pipeline)
    assert len(held(pipeline)) == 2
    return lambda: endpoints(pipeline)


def backfilled(pipeline: Pipeline) -> Then:
    pipeline.detect(activated_at=datetime(2026, 4, 1))
    march = Backfill(since=datetime(2026, 3, 1), until=datetime(2026, 4, 1))
    assert carry_out(pipeline.warehouse, pipeline.clock, march).changed == 2
    return lambda: None


def enrollment(pipeline: Pipeline) -> Then:
    endpoints(pipeline, is_enrollment_events_enabled=True)
    rows = [enrolled(1), enrolled(2)]
    create_table(pipeline.warehouse, "enterprise_enrollments", ENROLLMENT_COLUMNS, rows)
    pipeline.detect(source=ENROLLMENTS)
    return lambda: None


def endpoint_off(pipeline: Pipeline) -> Then:
    pipeline.already_built()
    endpoints(pipeline, is_active=False)
    pipeline.send()
    assert len(held(pipeline)) == 2
    return lambda: endpoints(pipeline)


def endpoint_disabled(pipeline: Pipeline) -> Then:
    pipeline.already_built()
    pipeline.target.answers["/"] = (410, {})
    pipeline.send(batch_size=1)
    pipeline.warehouse.execute(
        f"update {OUTBOX} set state = 'held', state_reason = 'endpoint_disabled',"
        " next_attempt_at = sysdate()"
    )
    pipeline.target.answers.clear()
    return lambda: switch(pipeline, "null")


def moved(pipeline: Pipeline) -> Then:
    pipeline.already_built()
    pipeline.target.answers["/"] = (500, {})
    pipeline.send()
    pipeline.target.answers.clear()
    endpoints(pipeline, endpoint_id=2)
    pipeline.later(timedelta(minutes=1))
    return lambda: carry_out(pipeline.warehouse, pipeline.clock, Reroute())


def sent_before(state: ReplayState) -> Callable[[Pipeline], Then]:
    def stage(pipeline: Pipeline) -> Then:
        pipeline.already_sent()
        pipeline.warehouse.execute(f"update {OUTBOX} set state = '{state}'")
        return lambda: carry_out(pipeline.warehouse, pipeline.clock, Replay(state=state))

    return stage


def held(pipeline: Pipeline) -> list[dict[str, object]]:
    return [row for row in pipeline.rows("state") if row["state"] == "held"]


UNBUILT = {
    "recorded": recorded,
    "waits for learning time": waits_for_learning_time,
    "identity missing": identity_missing,
    "no active endpoint": no_active_endpoint,
    "backfilled": backfilled,
    "enrollment": enrollment,
}
BUILT = {
    "endpoint off in the LMS": endpoint_off,
    "endpoint disabled": endpoint_disabled,
    "rerouted": moved,
    "delivered and replayed": sent_before(ReplayState.DELIVERED),
    "dead and replayed": sent_before(ReplayState.DEAD),
}


@pytest.mark.parametrize("stage", [*UNBUILT, *BUILT])
def test_whoever_the_mart_has_lost_is_not_sent_and_a_new_address_is_until_it_is_built(
    pipeline: Pipeline, stage: str
) -> None:
    """Learner 1 is gone, learner 2 has a new address; learner 2 proves that something was sent."""
    then = (UNBUILT | BUILT)[stage](pipeline)
    pipeline.target.received.clear()
    mart = (
        f"{MARTS}.{'enterprise_enrollments' if stage == 'enrollment' else 'completed_enrollments'}"
    )
    pipeline.warehouse.execute(f"delete from {mart} where user_id = 1")
    pipeline.warehouse.execute(f"update {mart} set email = 'new@example.com' where user_id = 2")
    then()
    pipeline.build()
    pipeline.send()
    learners = [json.loads(one.body)["learner"] for one in pipeline.target.received]
    assert [one["user_id"] for one in learners] == [2]
    assert (learners[0]["email"] == "new@example.com") == (stage in UNBUILT)
