"""Sending again: the same id and bytes, once, recorded, and through the one send path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sync.attempts import Attempt, finalize, ledger_entry
from sync.claims import Claimed
from sync.errors import ConfigurationError
from sync.journal import Entry
from sync.replay import Plan, Refusal, Replay, ReplayGrew, plan_replay, replay
from sync.replay_selection import ReplayState, Selection, Window
from sync.results import Attribution, ErrorKind, Failure
from sync.retry import RetryPolicy, decide
from sync.sender import DispatchLimits
from sync.steps import nothing
from sync.warehouse import Warehouse
from tests.support.delivery import enterprise
from tests.support.operator import OUTBOX, World, open_world

MARKER = "webhook-replay"
DEAD = Selection(state=ReplayState.DEAD)
DELIVERED = Selection(state=ReplayState.DELIVERED)


@pytest.fixture
def world(warehouse: Warehouse, tmp_path: Path) -> Iterator[World]:
    with open_world(warehouse, tmp_path) as opened:
        yield opened


def ask(world: World, selection: Selection, **options: object) -> Replay:
    return replay(
        world.warehouse,
        selection,
        requested_by="an operator",
        clock=world.clock,
        **options,  # pyright: ignore[reportArgumentType]
    )


def dead_letters(world: World, *users: int) -> set[str]:
    """Dead letters, and what their endpoints answered before is forgotten."""
    world.target.answers["/hooks"] = (500, {})
    ids = world.complete(*users)
    world.deliver()
    world.kill_off()
    world.warehouse.execute("delete from analytics.sync.endpoint_state")
    world.target.answers.clear()
    return ids


def test_a_delivered_webhook_goes_once_more_with_the_same_id_and_bytes(world: World) -> None:
    ids = world.complete(2, 4)
    world.deliver()
    first = {one.webhook_id: one.body for one in world.take()}
    before = {row["webhook_id"]: row for row in world.rows()}
    made = ask(world, DELIVERED)
    assert made.matched == 2
    world.send()
    again = world.take()
    assert {one.webhook_id: one.body for one in again} == first
    assert [one.headers[MARKER] for one in again] == ["true", "true"]
    for one in ids:
        row = world.row(one)
        assert (row["state"], row["replay_id"], row["next_attempt_at"]) == ("delivered", None, None)
        assert row["delivered_at"] == before[one]["delivered_at"], "when they first had it"
    world.send()
    assert world.take() == [], "one request, one try"


def test_the_first_sending_carries_no_marker(world: World) -> None:
    world.complete(2)
    world.deliver()
    assert [MARKER in one.headers for one in world.take()] == [False]


def test_a_dead_letter_starts_a_fresh_schedule(world: World) -> None:
    (dead,) = dead_letters(world, 2)
    bodies = {one.body for one in world.take()}
    assert ask(world, DEAD).matched == 1
    row = world.row(dead)
    assert (row["state"], row["state_reason"], row["attempt_count"]) == ("pending", None, 0)
    world.target.answers["/hooks"] = (500, {})
    world.send()
    (tried,) = world.take()
    assert (tried.webhook_id, {tried.body}, tried.headers[MARKER]) == (dead, bodies, "true")
    row = world.row(dead)
    assert (row["state"], row["attempt_count"]) == ("pending", 1)
    assert row["replay_id"] is not None, "its retries answer to the same request"
    world.target.answers.clear()
    world.run = world.run.later(timedelta(seconds=10))
    world.send()
    row = world.row(dead)
    assert (row["state"], row["replay_id"]) == ("delivered", None)
    world.send()
    assert len(world.take()) == 1, "once delivered it is not sent again"


def test_a_failed_replay_of_a_delivered_webhook_changes_nothing_but_the_log(world: World) -> None:
    (delivered,) = world.complete(2)
    world.deliver()
    before = world.row(delivered)
    made = ask(world, DELIVERED)
    world.target.answers["/hooks"] = (500, {})
    world.send()
    row = world.row(delivered)
    assert (row["state"], row["state_reason"], row["replay_id"]) == ("delivered", None, None)
    assert row["delivered_at"] == before["delivered_at"]
    logged = world.warehouse.rows(
        "select outcome, status_code, replay_id from analytics.sync.webhook_attempts order by fence"
    )
    assert [(one["outcome"], one["status_code"], one["replay_id"]) for one in logged] == [
        ("delivered", 200, None),
        ("retry", 500, made.replay_id),
    ]
    world.run = world.run.later(timedelta(hours=1))
    world.take()
    world.send()
    assert world.take() == []


def test_a_fault_of_ours_does_not_use_up_a_replay(world: World) -> None:
    (delivered,) = world.complete(2)
    world.deliver()
    world.take()
    ask(world, DELIVERED)
    entry = _own_fault(world, delivered)
    finalize(world.warehouse, [entry], clock=world.clock, hook=nothing)
    row = world.row(delivered)
    assert row["state"] == "delivered"
    assert row["replay_id"] is not None
    world.run = world.run.later(timedelta(minutes=2))
    world.send()
    assert len(world.take()) == 1


def _own_fault(world: World, webhook_id: str) -> Entry:
    row = world.row(webhook_id)
    failure = Failure(ErrorKind.INTERNAL, Attribution.OURS, "no network")
    claimed = Claimed(
        webhook_id, "course_completion", 1, b"{}", 1, int(row["fence"]), row["replay_id"]
    )
    now = world.clock()
    decision = decide(
        failure, webhook_id=webhook_id, attempt_number=2, now=now, policy=RetryPolicy()
    )
    attempt = Attempt(
        claimed=claimed, result=failure, decision=decision, started_at=now, signing_key_ids=""
    )
    return ledger_entry(attempt, run_id="run-x")


def test_a_late_result_from_before_the_request_cannot_undo_it(world: World) -> None:
    (dead,) = dead_letters(world, 2)
    fence = int(world.row(dead)["fence"])
    ask(world, DEAD)
    stale = {
        "webhook_id": dead,
        "fence": fence,
        "state": "dead",
        "reason": "attempts_exhausted",
        "attempt_count": 8,
    }
    attempt = {
        "webhook_id": dead,
        "endpoint_id": 1,
        "fence": fence,
        "attempt_number": 8,
        "started_at": "2026-03-10T18:00:00",
        "outcome": "dead",
    }
    finalize(world.warehouse, [Entry(attempt, stale)], clock=world.clock, hook=nothing)
    row = world.row(dead)
    assert (row["state"], row["attempt_count"]) == ("pending", 0)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        pytest.param(Selection(state=ReplayState.DELIVERED, endpoint_id=1), {2, 4}, id="endpoint"),
        pytest.param(Selection(state=ReplayState.DELIVERED, endpoint_id=7), set(), id="no such"),
        pytest.param(DEAD, {5}, id="state"),
        pytest.param(
            Selection(state=ReplayState.DEAD, reason="attempts_exhausted"), {5}, id="reason"
        ),
        pytest.param(Selection(state=ReplayState.DEAD, reason="endpoint_gone"), set(), id="other"),
    ],
)
def test_a_selection_takes_what_meets_all_its_conditions(
    world: World, selection: Selection, expected: set[int]
) -> None:
    dead_letters(world, 5)
    world.complete(2, 4)
    world.deliver()
    assert plan_replay(world.warehouse, selection).matched == len(expected)
    ask(world, selection)
    marked = world.rows("user_id", "replay_id is not null")
    assert {int(row["user_id"]) for row in marked} == expected


def test_a_window_looks_at_recording_or_delivery(world: World) -> None:
    world.complete(2)
    world.deliver()
    delivered_at = world.rows("delivered_at")[0]["delivered_at"]
    world.warehouse.execute(f"update {OUTBOX} set recorded_at = '2026-01-01'")
    around = {"since": delivered_at, "until": delivered_at + timedelta(seconds=1)}

    def matched(window: Window, **moments: object) -> int:
        selection = Selection(state=ReplayState.DELIVERED, window=window, **moments)  # pyright: ignore[reportArgumentType]
        return plan_replay(world.warehouse, selection).matched

    assert matched(Window.DELIVERED, **around) == 1
    assert matched(Window.RECORDED, **around) == 0
    assert matched(Window.DELIVERED, until=delivered_at) == 0, "the end is not part of a window"


def test_what_cannot_be_replayed_is_refused_with_the_reason(world: World) -> None:
    ids = [*world.complete(2), *world.complete(4), *world.complete(6), *world.complete(8)]
    ids += world.complete(10)
    world.deliver()
    changes = (
        "body = null, facts = null, body_removed_at = sysdate()",
        "state = 'held', state_reason = 'endpoint_disabled'",
        "state = 'pending'",
        "state = 'suppressed', state_reason = 'no_endpoint', body = null",
        "state = 'awaiting', body = null",
    )
    for one, change in zip(ids, changes, strict=True):
        world.warehouse.execute(f"update {OUTBOX} set {change} where webhook_id = '{one}'")
    before = world.everything()
    selection = Selection(webhook_ids=(*ids, "an-id-of-nobody"))
    plan = plan_replay(world.warehouse, selection)
    assert plan.matched == 0
    assert plan.unknown_ids == 1
    assert plan.refused == dict.fromkeys(Refusal, 1)
    assert ask(world, selection) == Replay(None, 0)
    assert world.everything() == before, "a request that matches nothing leaves no trace"


def test_asking_twice_before_the_run_sends_once(world: World) -> None:
    world.complete(2)
    world.deliver()
    world.take()
    assert ask(world, DELIVERED).matched == 1
    assert ask(world, DELIVERED).matched == 0
    assert plan_replay(world.warehouse, DELIVERED).refused == {Refusal.ALREADY_DUE: 1}
    world.send()
    assert len(world.take()) == 1


def test_a_request_with_an_id_of_the_callers_counts_once(world: World) -> None:
    world.complete(2)
    world.deliver()
    assert ask(world, DELIVERED, replay_id="run-7") == Replay("run-7", 1)
    world.send()
    world.take()
    assert ask(world, DELIVERED, replay_id="run-7") == Replay("run-7", 1), "the first one's answer"
    world.send()
    assert world.take() == []


def test_more_than_was_agreed_to_changes_nothing(world: World) -> None:
    world.complete(2, 4)
    world.deliver()
    before = world.everything()
    with pytest.raises(ReplayGrew, match="2 webhooks match by now, 1 were agreed to"):
        ask(world, DELIVERED, at_most=1)
    assert world.everything() == before
    assert ask(world, DELIVERED, at_most=2).matched == 2


def test_a_request_that_breaks_off_leaves_neither_row_nor_mark(world: World) -> None:
    world.complete(2)
    world.deliver()
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
        replay(cut, DELIVERED, requested_by="an operator", clock=world.clock)
    assert world.everything() == before


def test_the_request_is_recorded_with_who_asked_for_what(world: World) -> None:
    world.complete(2, 4)
    world.deliver()
    made = ask(world, Selection(state=ReplayState.DELIVERED, endpoint_id=1))
    (row,) = world.warehouse.rows(
        "select replay_id, requested_by, matched, to_json(selection) as selection"
        " from analytics.sync.replays"
    )
    assert (row["replay_id"], row["requested_by"], row["matched"]) == (
        made.replay_id,
        "an operator",
        2,
    )
    assert json.loads(row["selection"]) == {"state": "delivered", "endpoint_id": 1}


def test_a_suppressed_completion_is_released_and_decided_anew(world: World) -> None:
    (early,) = world.complete(2)
    world.warehouse.execute(
        "update analytics.marts.completed_enrollments set passed_at = '2026-02-01'"
    )
    world.deliver()
    assert world.row(early)["state_reason"] == "before_activation"
    assert plan_replay(world.warehouse, Selection(webhook_ids=(early,))).refused == {
        Refusal.NEVER_SENT: 1
    }
    assert ask(world, Selection(state=ReplayState.SUPPRESSED)).matched == 1
    assert world.row(early)["state"] == "awaiting"
    world.deliver()
    (sent,) = world.take()
    assert (sent.webhook_id, sent.headers[MARKER]) == (early, "true")
    assert world.row(early)["state"] == "delivered"


def test_a_replay_waits_for_an_endpoint_that_is_disabled(world: World) -> None:
    (delivered,) = world.complete(2)
    world.deliver()
    world.take()
    ask(world, DELIVERED)
    states = "update analytics.sync.endpoint_state set disabled_at = "
    world.warehouse.execute(f"{states} sysdate(), disabled_reason = 'by hand'")
    world.send()
    assert world.take() == []
    assert world.row(delivered)["state"] == "delivered"
    world.warehouse.execute(f"{states} null, disabled_reason = null")
    world.send()
    assert len(world.take()) == 1


def test_fresh_webhooks_go_before_replays_that_were_due_earlier(world: World) -> None:
    dead_letters(world, *range(2, 22, 2))
    world.take()
    ask(world, DEAD)
    (fresh,) = world.complete(100)
    limits = DispatchLimits(per_endpoint=1, batch_size=5)
    world.run = replace(world.run, limits=limits)
    world.deliver()
    got = [one.webhook_id for one in world.take()]
    assert len(got) == 11
    assert got[0] == fresh


def test_a_selection_of_everything_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs a state"):
        Selection(endpoint_id=1)
    now = datetime(2026, 3, 10)
    with pytest.raises(ConfigurationError, match="since must lie before until"):
        Selection(state=ReplayState.DEAD, since=now, until=now)


def test_a_plan_names_endpoints_and_shows_a_sample_without_personal_data(world: World) -> None:
    world.complete(2, 3)
    world.deliver()
    before = world.everything()
    plan = plan_replay(world.warehouse, DELIVERED)
    assert isinstance(plan, Plan)
    assert plan.by_endpoint == {1: 1, 2: 1}
    assert {key for row in plan.sample for key in row} == {
        "webhook_id",
        "state",
        "state_reason",
        "endpoint_id",
        "recorded_at",
        "delivered_at",
    }
    assert enterprise(1) not in str(plan)
    assert world.everything() == before
