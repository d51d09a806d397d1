"""Replay requests: what a selection matches, what is refused, and how it is recorded."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from sync.errors import ConfigurationError
from sync.operations.operation import Done, NotConfirmed
from sync.operations.refusals import Refusal
from sync.operations.replay import Replay, ReplayState, Window
from sync.warehouse import Warehouse
from tests.support.delivery import enterprise
from tests.support.operator import OUTBOX, World
from tests.support.replays import DEAD, DELIVERED, ask, plan


def test_a_selection_takes_what_meets_all_its_conditions(world: World) -> None:
    def one_dead_and_two_delivered(world: World) -> None:
        world.delivered(2, 4, 5)
        world.warehouse.execute(
            f"update {OUTBOX} set state = 'dead', state_reason = 'attempts_exhausted'"
            " where user_id = 5"
        )

    for selection, expected in (
        (Replay(state=ReplayState.DELIVERED, endpoint_id=1), {2, 4}),
        (Replay(state=ReplayState.DELIVERED, endpoint_id=7), set()),
        (DEAD, {5}),
        (Replay(state=ReplayState.DEAD, state_reason="attempts_exhausted"), {5}),
        (Replay(state=ReplayState.DEAD, state_reason="endpoint_gone"), set[int]()),
    ):
        world.stand("one-dead-and-two-delivered", one_dead_and_two_delivered)
        assert plan(world, selection).matched == len(expected), selection
        ask(world, selection)
        marked = world.rows("user_id", "replay_id is not null")
        assert {int(row["user_id"]) for row in marked} == expected, selection


def test_a_window_looks_at_recording_or_delivery(world: World) -> None:
    world.already_delivered(2)
    delivered_at = world.rows("delivered_at")[0]["delivered_at"]
    world.warehouse.execute(f"update {OUTBOX} set recorded_at = '2026-01-01'")
    around = {"since": delivered_at, "until": delivered_at + timedelta(seconds=1)}

    def matched(window: Window, **times: object) -> int:
        selection = Replay(state=ReplayState.DELIVERED, window=window, **times)  # pyright: ignore[reportArgumentType]
        return plan(world, selection).matched

    assert matched(Window.DELIVERED, **around) == 1
    assert matched(Window.RECORDED, **around) == 0
    assert matched(Window.DELIVERED, until=delivered_at) == 0, "the end is not part of a window"


def test_what_cannot_be_replayed_is_refused_with_the_reason(world: World) -> None:
    users = range(2, 18, 2)
    world.already_delivered(*users)
    ids = [one for user in users for one in world.ids(user)]
    changes = (
        "body_removed_at = sysdate()",
        "state = 'held', state_reason = 'endpoint_disabled'",
        "state = 'pending'",
        "state = 'suppressed', state_reason = 'no_endpoint', build_id = null",
        "state = 'awaiting', build_id = null",
        "state = 'held', state_reason = 'endpoint_missing'",
        "user_id = -5, body_removed_at = sysdate()",
        "user_id = 17",
    )
    for one, change in zip(ids, changes, strict=True):
        world.warehouse.execute(f"update {OUTBOX} set {change} where webhook_id = '{one}'")
    before = world.everything()
    selection = Replay(webhook_ids=[*ids, "an-id-of-nobody"])
    found = plan(world, selection)
    assert found.matched == 0
    assert found.document["unknown_ids"] == 1
    assert found.is_refused
    assert found.document["refused"] == dict.fromkeys(
        (
            Refusal.ERASED,
            Refusal.BODY_REMOVED,
            Refusal.NOT_BUILT,
            Refusal.SUPPRESSED,
            Refusal.ALREADY_DUE,
            Refusal.HELD,
            Refusal.ENDPOINT_MISSING,
            Refusal.NO_LONGER_REPORTABLE,
        ),
        1,
    )
    assert ask(world, selection) == Done()
    assert world.everything() == before, "a request that matches nothing leaves no trace"


def test_asking_twice_before_the_run_sends_once(world: World) -> None:
    world.already_delivered(2)
    assert ask(world, DELIVERED).changed == 1
    assert ask(world, DELIVERED).changed == 0
    assert plan(world, DELIVERED).document["refused"] == {Refusal.ALREADY_DUE: 1}
    world.send()
    assert len(world.take()) == 1


def test_a_request_with_an_id_of_the_callers_counts_once(world: World) -> None:
    world.already_delivered(2)
    assert ask(world, DELIVERED, request_id="run-7") == Done("run-7", 1)
    world.send()
    assert len(world.take()) == 1
    assert ask(world, DELIVERED, request_id="run-7") == Done("run-7", 1), "what the first one did"
    world.send()
    assert world.take() == []


def test_more_than_was_agreed_to_changes_nothing(world: World) -> None:
    world.already_delivered(2, 4)
    before = world.everything()
    with pytest.raises(NotConfirmed, match="confirm_count is 1, but 2 webhooks match now"):
        ask(world, DELIVERED, confirmed=1)
    assert world.everything() == before
    assert ask(world, DELIVERED, confirmed=2).changed == 2


def test_a_request_that_breaks_off_leaves_neither_row_nor_mark(world: World) -> None:
    world.already_delivered(2)
    before = world.everything()

    class Lost(Exception):
        pass

    class Cut(Warehouse):
        def execute(self, sql: str, *binds: object) -> int:
            if sql.strip().startswith("insert"):
                raise Lost
            return super().execute(sql, *binds)

    cut = Cut(world.warehouse.settings, world.warehouse._connection)
    with pytest.raises(Lost):
        DELIVERED.apply(cut, world.clock, confirmed=1, by="an operator")
    assert world.everything() == before


def test_the_request_is_recorded_with_who_asked_for_what(world: World) -> None:
    world.already_delivered(2, 4)
    made = ask(world, Replay(state=ReplayState.DELIVERED, endpoint_id=1))
    (row,) = world.warehouse.rows(
        "select replay_id, requested_by, matched, to_json(selection) as selection"
        " from analytics.sync.replays"
    )
    assert (row["replay_id"], row["requested_by"], row["matched"]) == (
        made.request_id,
        "an operator",
        2,
    )
    assert json.loads(row["selection"]) == {
        "operation": "replay",
        "state": "delivered",
        "endpoint_id": 1,
    }


def test_a_selection_of_everything_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs a state"):
        Replay.read({"endpoint_id": 1})
    now = datetime(2026, 3, 10)
    with pytest.raises(ConfigurationError, match="since must be before until"):
        Replay.read({"state": "dead", "since": now, "until": now})


def test_a_plan_names_endpoints_and_shows_a_sample_without_personal_data(world: World) -> None:
    world.already_delivered(2, 3)
    before = world.everything()
    found = plan(world, DELIVERED)
    assert found.document["by_endpoint"] == {"1": 1, "2": 1}
    assert {key for row in found.document["sample"] for key in row} == {
        "webhook_id",
        "state",
        "state_reason",
        "endpoint_id",
        "recorded_at",
        "delivered_at",
    }
    assert enterprise(1) not in str(found)
    assert world.everything() == before
