"""Retention clears personal data of finished webhooks only, and keeps their rows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync.delivery.record import Recorded, record
from sync.errors import ConfigurationError
from sync.ledger.retention import RetentionReport, apply_retention
from sync.operations.refusals import Refusal
from tests.support.operator import OUTBOX, World
from tests.support.replays import DELIVERED, ask, plan

YEAR = timedelta(days=365)


def retain(world: World, *, days: int = 90, dry_run: bool = False) -> RetentionReport:
    return apply_retention(world.warehouse, clock=world.clock, days=days, dry_run=dry_run, batch=2)


def one_of_each_state(world: World) -> None:
    """Learners 2, 4 and 6 are delivered, dead and suppressed; 8, 10 and 12 are not sent yet."""

    def make(world: World) -> None:
        world.delivered(2, 4, 6, 8, 10, 12)
        for user_id, change in {
            4: "state = 'dead', state_reason = 'attempts_exhausted'",
            6: "state = 'suppressed', state_reason = 'no_endpoint', build_id = null",
            8: "state = 'awaiting', build_id = null, next_attempt_at = sysdate()",
            10: "state = 'pending', next_attempt_at = sysdate()",
            12: "state = 'held', state_reason = 'endpoint_disabled', next_attempt_at = sysdate()",
        }.items():
            world.warehouse.execute(f"update {OUTBOX} set {change} where user_id = {user_id}")

    world.stand("one-of-each-state", make)


def test_finished_webhooks_lose_their_body_and_keep_the_rest(world: World) -> None:
    one_of_each_state(world)
    kept = (
        "webhook_id, event_type, enterprise_customer_uuid, user_id, courserun_key, occurred_at,"
        " recorded_at, state, state_reason, endpoint_id, enrichment_outcome, attempt_count,"
        " delivered_at"
    )
    before = world.rows(kept)
    world.run = world.run.later(YEAR)
    report = retain(world)
    assert (report.bodies, report.excerpts) == (2, 6)
    assert world.rows(kept) == before
    emptied = {
        int(row["user_id"]): row["body"] is None
        for row in world.rows("user_id, body", "body_removed_at is not null")
    }
    assert emptied == {2: True, 4: True}, "a suppressed one never had a body"
    excerpts = world.warehouse.rows(
        "select count(response_excerpt) as n from analytics.sync.webhook_attempts"
    )
    assert excerpts[0]["n"] == 0
    again = retain(world)
    assert (again.bodies, again.excerpts) == (0, 0)


def test_what_is_yet_to_be_sent_is_never_touched(world: World) -> None:
    one_of_each_state(world)
    unfinished = "state in ('awaiting', 'pending', 'held')"
    before = world.rows(where=unfinished)
    world.run = world.run.later(10 * YEAR)
    retain(world)
    assert world.rows(where=unfinished) == before


def test_young_webhooks_are_left_alone(world: World) -> None:
    one_of_each_state(world)
    world.run = world.run.later(timedelta(days=89))
    before = world.everything()
    report = retain(world)
    assert (report.bodies, report.excerpts) == (0, 0)
    assert world.everything() == before


def test_a_dry_run_counts_the_same_and_changes_nothing(world: World) -> None:
    one_of_each_state(world)
    world.run = world.run.later(YEAR)
    before = world.everything()
    report = retain(world, dry_run=True)
    assert (report.bodies, report.excerpts) == (2, 6)
    assert world.everything() == before


def test_a_webhook_without_a_body_is_not_replayed_and_its_completion_not_sent_again(
    world: World,
) -> None:
    world.already_delivered(2)
    world.run = world.run.later(YEAR)
    retain(world)
    found = plan(world, DELIVERED)
    assert (found.matched, found.document["refused"]) == (0, {Refusal.BODY_REMOVED: 1})
    again = record(world.warehouse, run_id="run-2", clock=world.clock)
    assert isinstance(again, Recorded)
    assert (again.awaiting, again.suppressed) == (0, 0)
    world.deliver()
    assert world.take() == []


def test_a_webhook_that_a_replay_waits_for_keeps_its_body(world: World) -> None:
    world.already_delivered(2)
    ask(world, DELIVERED)
    world.run = world.run.later(YEAR)
    assert retain(world).bodies == 0
    world.send()
    assert len(world.take()) == 1
    world.run = world.run.later(YEAR)
    assert retain(world).bodies == 1


def test_less_than_a_day_is_refused(world: World) -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        retain(world, days=0)
