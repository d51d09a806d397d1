"""Replays: the same id and bytes, once, through the normal send path."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.delivery.events import MartUnreadable
from sync.delivery.scheduler import Limits
from sync.domain.responses import Attribution, ErrorKind, Failure, Response
from sync.domain.work import Claim
from sync.ledger.attempts import settle
from sync.operations.refusals import Refusal
from sync.operations.replay import Replay, ReplayState
from tests.support.attempts import made
from tests.support.operator import OUTBOX, World
from tests.support.replays import DEAD, DELIVERED, ask, dead_letters, plan

MARKER = "webhook-replay"
MART = "analytics.marts.completed_enrollments"


def test_a_delivered_webhook_goes_once_more_with_the_same_id_and_bytes(world: World) -> None:
    """Only the second request has the replay header."""
    ids = world.complete(2, 4)
    world.deliver()
    taken = world.take()
    assert not any(MARKER in one.headers for one in taken)
    first = {one.webhook_id: one.body for one in taken}
    before = {row["webhook_id"]: row for row in world.rows()}
    made = ask(world, DELIVERED)
    assert made.changed == 2
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


def test_a_dead_letter_starts_a_fresh_schedule(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock stands still, or the retry would come due meanwhile."""
    (dead,) = dead_letters(world, 2)
    now = world.clock()
    monkeypatch.setattr("tests.support.delivery._clock_of", lambda warehouse: lambda: now)
    bodies = {row["body"].encode() for row in world.rows("body")}
    assert ask(world, DEAD).changed == 1
    row = world.row(dead)
    assert (row["state"], row["state_reason"], row["attempt_count"]) == ("pending", None, 0)
    world.target.answers["/hooks"] = (500, {})
    world.send()
    (tried,) = world.take()
    assert (tried.webhook_id, {tried.body}, tried.headers[MARKER]) == (dead, bodies, "true")
    row = world.row(dead)
    assert (row["state"], row["attempt_count"]) == ("pending", 1)
    assert row["replay_id"] is not None, "its retries belong to the same request"
    world.target.answers.clear()
    world.run = world.run.later(timedelta(seconds=10))
    world.send()
    row = world.row(dead)
    assert (row["state"], row["replay_id"]) == ("delivered", None)
    world.send()
    assert len(world.take()) == 1, "once delivered it is not sent again"


def test_a_failed_replay_of_a_delivered_webhook_changes_nothing_but_the_log(world: World) -> None:
    (delivered,) = world.already_delivered(2)
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
        ("retry", 500, made.request_id),
    ]
    world.run = world.run.later(timedelta(hours=1))
    world.take()
    world.send()
    assert world.take() == []


def test_a_sender_error_does_not_use_up_a_replay(world: World) -> None:
    (delivered,) = world.already_delivered(2)
    ask(world, DELIVERED)
    failure = Failure(ErrorKind.INTERNAL, Attribution.SENDER, "no network")
    claim = _claim(world, delivered, attempt_count=1)
    settle(world.warehouse, [made(claim, failure, started_at=world.clock())], clock=world.clock)
    row = world.row(delivered)
    assert row["state"] == "delivered"
    assert row["replay_id"] is not None
    world.run = world.run.later(timedelta(minutes=2))
    world.send()
    assert len(world.take()) == 1


def _claim(world: World, webhook_id: str, *, attempt_count: int) -> Claim:
    row = world.row(webhook_id)
    return Claim(webhook_id, 1, b"{}", attempt_count, int(row["fence"]), row["replay_id"])


def test_a_late_result_from_before_the_request_cannot_undo_it(world: World) -> None:
    (dead,) = dead_letters(world, 2)
    stale = made(_claim(world, dead, attempt_count=7), Response(500, None, ""))
    assert stale.follow_up.state == "dead"
    ask(world, DEAD)
    settle(world.warehouse, [stale], clock=world.clock)
    row = world.row(dead)
    assert (row["state"], row["attempt_count"]) == ("pending", 0)


def test_a_suppressed_completion_is_released_and_decided_anew(world: World) -> None:
    (early,) = world.complete(2)
    world.warehouse.execute(
        "update analytics.marts.completed_enrollments set passed_at = '2026-02-01'"
    )
    world.deliver()
    assert world.row(early)["state_reason"] == "before_activation"
    assert plan(world, Replay(webhook_ids=[early])).document["refused"] == {Refusal.SUPPRESSED: 1}
    assert ask(world, Replay(state=ReplayState.SUPPRESSED)).changed == 1
    assert world.row(early)["state"] == "awaiting"
    world.deliver()
    (sent,) = world.take()
    assert (sent.webhook_id, sent.headers[MARKER]) == (early, "true")
    assert world.row(early)["state"] == "delivered"


def test_a_suppressed_completion_that_the_marts_no_longer_hold_is_not_sent_after_all(
    world: World,
) -> None:
    (gone,), (kept,) = world.complete(2), world.complete(4)
    world.warehouse.execute(
        "update analytics.marts.completed_enrollments set passed_at = '2026-02-01'"
    )
    world.deliver()
    world.warehouse.execute("delete from analytics.marts.completed_enrollments where user_id = 2")
    ask(world, Replay(state=ReplayState.SUPPRESSED))
    world.deliver()
    assert [one.webhook_id for one in world.take()] == [kept]
    assert world.row(gone)["state_reason"] == "no_longer_reportable"


@pytest.mark.parametrize("state", ["delivered", "dead"])
def test_what_was_built_is_not_replayed_once_the_marts_no_longer_hold_it(
    world: World, state: str
) -> None:
    """With consent, link, customer or account gone, as when a message is built or released."""
    world.already_delivered(2, 4)
    (gone,), (kept,) = world.ids(2), world.ids(4)
    world.warehouse.execute(f"update {OUTBOX} set state = '{state}', next_attempt_at = null")
    world.warehouse.execute(f"delete from {MART} where user_id = 2")
    before = world.row(gone)
    for selection in (Replay(state=ReplayState(state)), Replay(webhook_ids=[gone, kept])):
        found = plan(world, selection)
        assert (found.matched, found.document["refused"]) == (1, {Refusal.NO_LONGER_REPORTABLE: 1})
        assert [row["webhook_id"] for row in found.document["sample"]] == [kept]
    assert ask(world, Replay(state=ReplayState(state)), confirmed=1).changed == 1
    world.send()
    assert [one.webhook_id for one in world.take()] == [kept]
    assert world.row(gone) == before
    world.complete(2)
    assert ask(world, Replay(webhook_ids=[gone])).changed == 1, "consent is given again"


def test_without_the_look_into_the_mart_nothing_is_replayed(world: World) -> None:
    (one,) = world.already_delivered(2)
    world.warehouse.execute(f"alter table {MART} rename to {MART}_away")
    before = world.row(one)
    for call in (lambda: plan(world, DELIVERED), lambda: ask(world, DELIVERED)):
        with pytest.raises(MartUnreadable, match=r"marts\.completed_enrollments cannot be read"):
            call()
    assert world.row(one) == before


def test_a_replay_waits_for_an_endpoint_that_is_disabled(world: World) -> None:
    (delivered,) = world.already_delivered(2)
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
    ask(world, DEAD)
    (fresh,) = world.complete(100)
    limits = Limits(per_endpoint=1, batch_size=5)
    world.run = replace(world.run, limits=limits)
    world.deliver()
    got = [one.webhook_id for one in world.take()]
    assert len(got) == 11
    assert got[0] == fresh
