"""Backfills: old completions in a window, confirmed by number, are sent once with their id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from sync.errors import ConfigurationError
from sync.ledger.retention import apply_retention
from sync.operations.backfill import Backfill
from sync.operations.operation import Done, Plan
from sync.warehouse import Warehouse
from tests.support.completions import add_completions, completion
from tests.support.delivery import enterprise
from tests.support.marts import ANY_RECEIVER, point_endpoints
from tests.support.operator import OUTBOX, World, carry_out, make_world, open_world
from tests.support.scenarios import Scenarios

JANUARY = Backfill(since=datetime(2026, 1, 1), until=datetime(2026, 2, 1))
OLD = {10: "2026-01-05T08:00:00", 11: "2026-01-20T08:00:00", 12: "2026-02-01T00:00:00"}


@pytest.fixture
def world(scenarios: Scenarios, warehouse: Warehouse, tmp_path: Path) -> Iterator[World]:
    """Three completions of two customers from before the activation, and one after it."""

    def make(warehouse: Warehouse) -> None:
        make_world(warehouse)
        add_completions(
            warehouse,
            [
                completion(n, passed_at, enterprise_customer_uuid=enterprise(n % 2 + 1))
                for n, passed_at in OLD.items()
            ],
        )
        with open_world(warehouse, tmp_path / "before") as opened:
            opened.delivered(2)
            point_endpoints(warehouse, ANY_RECEIVER, instead_of=opened.target.url)

    scenarios.stand("world with old completions", make)
    with open_world(warehouse, tmp_path) as opened:
        yield opened


def plan(world: World, request: Backfill = JANUARY) -> Plan:
    return request.plan(world.warehouse, world.clock)


def ask(world: World, confirmed: int, request: Backfill = JANUARY) -> Done:
    return carry_out(world.warehouse, world.clock, request, confirmed=confirmed)


def test_before_a_backfill_nothing_old_is_sent(world: World) -> None:
    states = {int(row["user_id"]): row["state"] for row in world.rows("user_id, state")}
    assert states == {2: "delivered", 10: "suppressed", 11: "suppressed", 12: "suppressed"}


def test_a_plan_counts_and_changes_nothing(world: World) -> None:
    before = world.everything()
    found = plan(world)
    assert (found.matched, found.document["beyond_limit"], found.document["gone"]) == (2, 0, 0)
    assert found.document["by_enterprise"] == {enterprise(1): 1, enterprise(2): 1}
    assert (found.document["first_at"], found.document["last_at"]) == (
        datetime(2026, 1, 5, 8),
        datetime(2026, 1, 20, 8),
    )
    assert len(found.document["sample"]) == 2
    assert world.everything() == before


def test_the_next_run_sends_what_was_agreed_to_under_the_ids_it_always_had(world: World) -> None:
    ids = {row["webhook_id"] for row in world.rows("webhook_id", "user_id in (10, 11)")}
    made = ask(world, 2)
    assert made.changed == 2
    world.deliver()
    sent = world.take()
    assert {one.webhook_id for one in sent} == ids
    assert {json.loads(one.body)["learner"]["user_id"] for one in sent} == {10, 11}
    assert not any("webhook-replay" in one.headers for one in sent), "nobody had them before"
    world.deliver()
    assert world.take() == [], "and never again"
    assert world.rows("state", "user_id = 12") == [{"state": "suppressed"}]


def test_each_row_names_its_request(world: World) -> None:
    made = ask(world, 2)
    (asked,) = world.warehouse.rows(
        "select to_json(selection) as selection from analytics.sync.replays"
    )
    assert json.loads(asked["selection"]) == {
        "operation": "backfill",
        "since": "2026-01-01T00:00:00",
        "until": "2026-02-01T00:00:00",
    }
    named = world.rows("user_id", f"recorded_run_id = '{made.request_id}'")
    assert [int(one["user_id"]) for one in named] == [10, 11]


def test_the_limit_takes_the_oldest_first(world: World) -> None:
    window = Backfill(since=JANUARY.since, until=JANUARY.until, limit=1)
    assert (plan(world, window).matched, plan(world, window).document["beyond_limit"]) == (1, 1)
    ask(world, 1, window)
    awaiting = world.rows("user_id", "state = 'awaiting'")
    assert [int(row["user_id"]) for row in awaiting] == [10]


def test_one_customer_alone_can_be_chosen_in_any_spelling(world: World) -> None:
    window = Backfill(since=JANUARY.since, until=JANUARY.until, enterprise=enterprise(2).upper())
    ask(world, 1, window)
    awaiting = world.rows("user_id", "state = 'awaiting'")
    assert [int(row["user_id"]) for row in awaiting] == [11]


def test_rows_with_a_message_or_another_reason_are_never_touched(world: World) -> None:
    """Other rows: suppressed for another reason, and one that somehow has a body."""
    world.warehouse.execute(f"update {OUTBOX} set state_reason = 'no_endpoint' where user_id = 10")
    world.warehouse.execute(f"update {OUTBOX} set build_id = 'x' where user_id = 11")
    before = world.rows()
    assert plan(world).matched == 0
    assert ask(world, 0) == Done()
    assert world.rows() == before


def test_what_the_marts_no_longer_hold_is_not_sent(world: World) -> None:
    """After consent was withdrawn, the mart lacks the completion, and the row stays suppressed."""
    world.warehouse.execute("delete from analytics.marts.completed_enrollments where user_id = 10")
    assert (plan(world).matched, plan(world).document["gone"]) == (1, 1)
    ask(world, 1)
    assert world.rows("state", "user_id = 10") == [{"state": "suppressed"}]


def test_retention_keeps_no_old_completion_from_being_sent(world: World) -> None:
    world.warehouse.execute(f"update {OUTBOX} set updated_at = '2020-01-01' where user_id > 9")
    apply_retention(world.warehouse, clock=world.clock)
    ask(world, 2)
    world.deliver()
    assert len(world.take()) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"until": datetime(2026, 1, 1)}, "since must be before until"),
        ({"since": "soon"}, "since: 'soon' must look like 2026-11-24"),
        ({"limit": 0}, "limit: Input should be greater than or equal to 1"),
        ({"limit": 100_001}, "limit: Input should be less than or equal to 100000"),
        ({"enterprise": "Example"}, "enterprise: 'Example'"),
    ],
)
def test_a_window_that_means_nothing_is_refused(changes: dict[str, object], named: str) -> None:
    values = {"since": datetime(2026, 1, 1), "until": datetime(2026, 2, 1)} | changes
    with pytest.raises(ConfigurationError, match=named):
        Backfill.read(values)
