"""A deleted and recreated endpoint: waiting messages go to the new one with the same ids."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from sync.delivery.endpoints import load_endpoints
from sync.errors import ConfigurationError
from sync.operations.endpoints import find_endpoint
from sync.operations.operation import Done, Plan
from sync.operations.refusals import Refusal
from sync.operations.replay import Replay
from sync.operations.reroute import Reroute
from tests.support.command_line import Command
from tests.support.completions import add_completions, completion
from tests.support.marts import create_endpoints, endpoint
from tests.support.operator import carry_out, everything_in
from tests.support.pipeline import OTHER_ENTERPRISE, PASSED_AT, Pipeline

MART = "analytics.marts.completed_enrollments"
OUTBOX = "analytics.sync.webhook_outbox"


def endpoints(pipeline: Pipeline, *rows: dict[str, object]) -> None:
    create_endpoints(pipeline.warehouse, rows)


def new(pipeline: Pipeline, **changes: object) -> dict[str, object]:
    return endpoint(2, f"{pipeline.target.url}/new") | changes


def build_and_send(pipeline: Pipeline, *rows: dict[str, object]) -> None:
    """Build and send, with these endpoints if given."""
    if rows:
        endpoints(pipeline, *rows)
    pipeline.build()
    pipeline.send()


def states(pipeline: Pipeline) -> set[tuple[object, object]]:
    return {(row["state"], row["state_reason"]) for row in pipeline.rows("state, state_reason")}


def bodies(pipeline: Pipeline) -> dict[str, bytes]:
    return {one.webhook_id: one.body for one in pipeline.target.received}


def build_and_delete(pipeline: Pipeline) -> None:
    """Both messages are built but never sent; then the endpoint is deleted."""
    pipeline.detect()
    pipeline.build()
    endpoints(pipeline)
    pipeline.send()
    assert states(pipeline) == {("held", "endpoint_missing")}


def built_then_deleted(pipeline: Pipeline) -> None:
    pipeline.stand("built-then-deleted", build_and_delete)


def try_and_delete(pipeline: Pipeline) -> dict[str, bytes]:
    """Both messages are refused once; then the endpoint is deleted. Returns what was sent."""
    pipeline.target.answers["/hooks"] = (500, {})
    pipeline.detect()
    build_and_send(pipeline)
    sent = bodies(pipeline)
    assert len(sent) == 2
    pipeline.target.received.clear()
    pipeline.later(timedelta(minutes=1))
    endpoints(pipeline)
    pipeline.send()
    assert states(pipeline) == {("held", "endpoint_missing")}
    return sent


def tried_then_deleted(pipeline: Pipeline) -> None:
    pipeline.stand("tried-then-deleted", try_and_delete)
    pipeline.later(timedelta(minutes=1))


def plan(pipeline: Pipeline) -> Plan:
    return Reroute().plan(pipeline.warehouse, pipeline.clock)


def move(pipeline: Pipeline) -> Done:
    return carry_out(pipeline.warehouse, pipeline.clock, Reroute())


def test_what_was_never_sent_is_built_again_for_the_new_endpoint_by_itself(
    pipeline: Pipeline,
) -> None:
    built_then_deleted(pipeline)
    ids = {row["webhook_id"] for row in pipeline.rows("webhook_id")}
    pipeline.build()
    assert states(pipeline) == {("held", "endpoint_missing")}, "there is no new one yet"
    endpoints(pipeline, new(pipeline))
    pipeline.warehouse.execute(f"update {MART} set email = 'new@example.com' where user_id = 1")
    build_and_send(pipeline)
    assert {one.path for one in pipeline.target.received} == {"/new"}
    assert set(bodies(pipeline)) == ids
    assert any(b"new@example.com" in body for body in bodies(pipeline).values())
    assert states(pipeline) == {("delivered", None)}


def test_a_message_that_is_not_held_yet_is_built_again_at_once(pipeline: Pipeline) -> None:
    pipeline.already_built()
    build_and_send(pipeline, new(pipeline))
    assert {one.path for one in pipeline.target.received} == {"/new"}


def test_another_format_is_what_a_message_that_was_never_sent_is_built_in(
    pipeline: Pipeline,
) -> None:
    built_then_deleted(pipeline)
    pipeline.warehouse.execute(
        f"update {MART} set percipio_user_id = 'u', percipio_organization_id = 'o'"
        " where user_id = 1"
    )
    endpoints(pipeline, new(pipeline, payload_format="percipio"))
    assert pipeline.build().held == {"identity_missing": 1}
    pipeline.send()
    assert [json.loads(one.body)["user"] for one in pipeline.target.received] == ["u"]


def test_no_endpoint_but_one_that_takes_the_region_of_the_same_customer_is_used(
    pipeline: Pipeline,
) -> None:
    built_then_deleted(pipeline)
    for changes in (
        {"enterprise_customer_uuid": OTHER_ENTERPRISE},
        {"region": "EU"},
        {"is_active": False},
        {"region": "UK"},
    ):
        build_and_send(pipeline, new(pipeline, **changes))
        assert pipeline.target.received == [], changes
        held = {row["state"] for row in pipeline.rows("state")}
        assert held == {"held"}, f"{changes}, and none is suppressed"
    build_and_send(pipeline, new(pipeline, endpoint_id=3))
    assert states(pipeline) == {("delivered", None)}


def test_a_learner_of_the_eu_goes_to_no_other_region_unless_allowed(pipeline: Pipeline) -> None:
    pipeline.warehouse.execute(f"update {MART} set learner_country = 'DE'")
    endpoints(pipeline, endpoint(1, f"{pipeline.target.url}/eu", region="EU"))
    build_and_delete(pipeline)
    build_and_send(pipeline, new(pipeline))
    assert pipeline.target.received == []
    build_and_send(pipeline, new(pipeline, is_eu_fallback_allowed=True))
    assert len(pipeline.target.received) == 2


def test_what_was_held_unbuilt_outlives_its_endpoint_as_well(pipeline: Pipeline) -> None:
    off = endpoint(1, f"{pipeline.target.url}/hooks/example", is_active=False)
    endpoints(pipeline, off)
    pipeline.detect()
    pipeline.build()
    endpoints(pipeline)
    assert pipeline.build().held == {"endpoint_missing": 2}
    build_and_send(pipeline, new(pipeline))
    assert states(pipeline) == {("delivered", None)}


def test_what_may_no_longer_be_reported_is_not_sent_to_the_new_endpoint(pipeline: Pipeline) -> None:
    built_then_deleted(pipeline)
    pipeline.warehouse.execute(f"delete from {MART} where user_id = 1")
    build_and_send(pipeline, new(pipeline))
    sent = [json.loads(one.body)["learner"]["user_id"] for one in pipeline.target.received]
    assert sent == [2]
    add_completions(pipeline.warehouse, [completion(1, PASSED_AT)])
    build_and_send(pipeline)
    assert states(pipeline) == {("delivered", None)}


def test_what_was_tried_stays_until_it_is_moved_and_then_goes_with_the_same_bytes(
    pipeline: Pipeline,
) -> None:
    sent = try_and_delete(pipeline)
    endpoints(pipeline, new(pipeline))
    pipeline.warehouse.execute(f"update {MART} set email = 'new@example.com'")
    build_and_send(pipeline)
    assert pipeline.target.received == [], "the old endpoint may have taken it"
    found = plan(pipeline)
    assert found.document == {
        "moves": [{"from": 1, "to": 2, "webhooks": 2}],
        "not_moved": {},
    }
    made = move(pipeline)
    assert made.changed == 2
    build_and_send(pipeline)
    assert bodies(pipeline) == sent, "same ids, same bytes"
    assert {one.path for one in pipeline.target.received} == {"/new"}
    assert states(pipeline) == {("delivered", None)}
    (row,) = pipeline.warehouse.rows(
        "select replay_id, requested_by, matched from analytics.sync.replays"
    )
    assert tuple(row.values()) == (made.request_id, "an operator", 2)


def test_a_moved_message_is_looked_up_in_the_marts_before_it_goes(pipeline: Pipeline) -> None:
    tried_then_deleted(pipeline)
    endpoints(pipeline, new(pipeline))
    pipeline.warehouse.execute(f"delete from {MART} where user_id = 1")
    assert move(pipeline).changed == 2
    pipeline.send()
    sent = [json.loads(one.body)["learner"]["user_id"] for one in pipeline.target.received]
    assert sent == [2]
    assert ("held", "no_longer_reportable") in states(pipeline)


def test_bytes_that_were_sent_once_move_only_where_they_fit(pipeline: Pipeline) -> None:
    tried_then_deleted(pipeline)
    for changes, stay in (
        ({"payload_format": "percipio"}, Refusal.FORMAT_DIFFERS),
        ({"is_active": False}, Refusal.NO_ENDPOINT),
        ({"region": "EU"}, Refusal.NO_ENDPOINT),
        ({"enterprise_customer_uuid": OTHER_ENTERPRISE}, Refusal.NO_ENDPOINT),
    ):
        endpoints(pipeline, new(pipeline, **changes))
        before = everything_in(pipeline.warehouse)
        found = plan(pipeline)
        assert (found.matched, found.document["not_moved"]) == (0, {stay: 2}), changes
        assert move(pipeline) == Done(), changes
        assert everything_in(pipeline.warehouse) == before, changes


def test_a_filter_of_the_new_endpoint_holds_for_what_is_moved(pipeline: Pipeline) -> None:
    tried_then_deleted(pipeline)
    for filters, moved in (
        ({"only_courserun_keys": "course-v1:other*"}, 0),
        # The enrollment mode is no longer known.
        ({"only_enrollment_modes": "verified"}, 0),
        ({"only_courserun_keys": "course-v1:*"}, 2),
    ):
        endpoints(pipeline, new(pipeline, **filters))
        found = plan(pipeline)
        left = {} if moved else {Refusal.FILTERED: 2}
        assert (found.matched, found.document["not_moved"]) == (moved, left), filters
    assert move(pipeline).changed == 2


def test_a_message_that_was_claimed_counts_as_sent_even_without_a_logged_attempt(
    pipeline: Pipeline,
) -> None:
    """A run may have been killed between sending and recording."""
    pipeline.already_built()
    before = pipeline.rows("body")
    pipeline.warehouse.execute(f"update {OUTBOX} set fence = 1")
    endpoints(pipeline, new(pipeline))
    pipeline.build()
    assert pipeline.rows("body") == before


def test_a_row_that_a_run_is_at_work_on_is_not_moved(pipeline: Pipeline) -> None:
    tried_then_deleted(pipeline)
    endpoints(pipeline, new(pipeline))
    pipeline.warehouse.execute(
        f"update {OUTBOX} set lease_owner = 'x', lease_expires_at = dateadd(hour, 9, sysdate())"
        " where user_id = 1"
    )
    assert plan(pipeline).document["not_moved"] == {Refusal.IN_A_RUN: 1}
    assert move(pipeline).changed == 1


def test_messages_of_endpoints_that_exist_are_never_moved(pipeline: Pipeline) -> None:
    pipeline.already_built()
    pipeline.target.answers["/hooks"] = (500, {})
    pipeline.send()
    own = endpoint(1, f"{pipeline.target.url}/hooks/example", is_active=False)
    endpoints(pipeline, own, new(pipeline))
    assert plan(pipeline).matched == 0


def test_what_refuses_says_what_to_do_instead(pipeline: Pipeline) -> None:
    built_then_deleted(pipeline)
    ids = tuple(str(row["webhook_id"]) for row in pipeline.rows("webhook_id"))
    plan = Replay(webhook_ids=list(ids)).plan(pipeline.warehouse, pipeline.clock)
    assert plan.document["refused"] == {Refusal.ENDPOINT_MISSING: 2}
    assert "ltw reroute" in Refusal.ENDPOINT_MISSING.text
    endpoints(pipeline, new(pipeline))
    with pytest.raises(ConfigurationError, match="ltw reroute --endpoint 1"):
        find_endpoint(load_endpoints(pipeline.warehouse), 1)


def test_the_command_shows_moves_and_says_what_stays(pipeline: Pipeline, ltw: Command) -> None:
    tried_then_deleted(pipeline)
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT)])
    endpoints(pipeline, new(pipeline))

    shown = ltw("reroute", "--endpoint", "1", "--dry-run", "--json").document
    assert (shown["matched"], shown["moved"]) == (2, 0)
    assert shown["moves"] == [{"from": 1, "to": 2, "webhooks": 2}]
    assert "2 webhooks go out with the next run" in ltw("reroute").text
    pipeline.send()
    assert len(pipeline.target.received) == 2


def test_an_id_that_another_customer_has_now_gets_none_of_the_old_ones_messages(
    pipeline: Pipeline,
) -> None:
    """A restored database reuses an id, or the row is assigned to another customer."""
    pipeline.already_built()
    taken = endpoint(1, f"{pipeline.target.url}/b", enterprise_customer_uuid=OTHER_ENTERPRISE)
    endpoints(pipeline, taken)
    pipeline.send()
    assert pipeline.target.received == [], "nor what is built already"
    build_and_send(pipeline)
    assert pipeline.target.received == []
    build_and_send(pipeline, taken, new(pipeline))
    assert {one.path for one in pipeline.target.received} == {"/new"}
