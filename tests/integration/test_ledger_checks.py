"""Ledger rules that raise alerts: what breaks each of them, and what does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from sync.ledger.checks import (
    EXAMPLES,
    bodies_that_differ,
    recorded_twice,
    successes_not_settled,
)
from sync.ledger.tables import ensure_ledger
from sync.warehouse import Warehouse
from tests.support.ledger_rows import attempt, webhook, write_ledger
from tests.support.scenarios import Scenarios

Row = dict[str, object]


@cache
def now() -> datetime:
    """The time of the first test here; the module may have been imported long before."""
    return datetime.now(UTC).replace(tzinfo=None)


def ago(**span: float) -> datetime:
    return now() - timedelta(**span)


@pytest.fixture
def ledger(scenarios: Scenarios, warehouse: Warehouse) -> Warehouse:
    scenarios.stand("ledger", ensure_ledger)
    return warehouse


def test_an_empty_ledger_breaks_no_rule(ledger: Warehouse) -> None:
    for rule in (recorded_twice, bodies_that_differ, successes_not_settled):
        assert rule(ledger).count == 0


def open_row(user_id: int, state: str, **changes: Any) -> Row:
    return webhook(user_id, now(), state=state, delivered_at=None, **changes)


@pytest.mark.parametrize("state", ["awaiting", "pending", "held"])
def test_an_event_recorded_twice_is_found_while_a_copy_may_still_be_sent(
    ledger: Warehouse, state: str
) -> None:
    first = webhook(1, now())
    write_ledger(ledger, webhooks=[first, open_row(1, state), webhook(2, now())])
    found = recorded_twice(ledger)
    assert (found.count, found.webhook_ids) == (1, (first["webhook_id"],))


def test_two_events_of_one_learner_and_two_settled_copies_stop_no_send(ledger: Warehouse) -> None:
    write_ledger(
        ledger,
        webhooks=[
            open_row(1, "pending"),
            open_row(1, "pending", event_type="course_enrollment"),
            webhook(2, now()),
            webhook(2, now()),
        ],
    )
    assert recorded_twice(ledger).count == 0


def test_a_check_counts_all_and_shows_some(ledger: Warehouse) -> None:
    rows = [open_row(n, "pending") for n in range(EXAMPLES + 5)]
    write_ledger(ledger, webhooks=rows + rows)
    found = recorded_twice(ledger)
    assert found.count == EXAMPLES + 5
    assert len(found.webhook_ids) == EXAMPLES


def v2(seconds: int | None) -> str:
    learning_time = {} if seconds is None else {"learning_time": {"total_seconds": seconds}}
    return json.dumps({"event_type": "course_completion", **learning_time})


def percipio(seconds: int | None) -> str:
    return json.dumps({"status": "completed", "duration_spent": seconds})


FOUND = {"enrichment_outcome": "found", "learning_time_seconds": 600}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({**FOUND, "body": v2(601)}, id="another number"),
        pytest.param({**FOUND, "body": v2(None)}, id="none although there is one"),
        pytest.param({"body": v2(600)}, id="one although the flag was off"),
        pytest.param({"enrichment_outcome": None, "body": v2(600)}, id="one without an outcome"),
        pytest.param({**FOUND, "body": v2(10)}, id="minutes"),
        pytest.param({**FOUND, "body": percipio(0)}, id="another number, flat"),
        pytest.param({**FOUND, "body": percipio(None)}, id="none, flat"),
        pytest.param({"body": percipio(600)}, id="one with the flag off, flat"),
    ],
)
def test_a_body_that_tells_another_story_than_the_ledger_is_found(
    ledger: Warehouse, changes: Row
) -> None:
    write_ledger(ledger, webhooks=[webhook(1, now(), **changes)])
    assert bodies_that_differ(ledger).count == 1


def test_bodies_that_agree_and_bodies_that_are_gone_are_in_order(ledger: Warehouse) -> None:
    long_ago = ago(days=100)
    write_ledger(
        ledger,
        webhooks=[
            webhook(1, now(), **FOUND, body=v2(600)),
            webhook(2, now(), **FOUND, body=percipio(600)),
            webhook(3, now(), body=v2(None)),
            webhook(4, now(), body=percipio(None)),
            webhook(5, now(), enrichment_outcome="found", learning_time_seconds=0, body=v2(0)),
            webhook(6, long_ago, **FOUND, body=None, body_removed_at=now().isoformat()),
            open_row(7, "awaiting", frozen_at=None),
            webhook(8, now(), **FOUND, body=percipio(10), payload_format="percipio"),
            webhook(
                9, now(), **FOUND, body='{"result": {"duration": "PT9M"}}', payload_format="xapi"
            ),
            webhook(10, now(), **FOUND, body='{"minutes": 10}', payload_format="acme"),
        ],
    )
    assert bodies_that_differ(ledger).count == 0


def test_a_logged_success_on_an_open_row_and_a_delivery_without_one_are_found(
    ledger: Warehouse,
) -> None:
    lost, invented = open_row(1, "pending"), webhook(2, now())
    write_ledger(ledger, webhooks=[lost, invented], attempts=[attempt(lost)])
    found = successes_not_settled(ledger)
    assert set(found.webhook_ids) == {lost["webhook_id"], invented["webhook_id"]}


def test_what_a_run_is_at_work_on_is_left_out_until_its_lease_is_over(ledger: Warehouse) -> None:
    # A day's margin, since this test may run long after the clock was read.
    def leased(days: int) -> Row:
        until = now() + timedelta(days=days)
        return open_row(1, "pending", lease_owner="a run", lease_expires_at=until.isoformat())

    write_ledger(ledger, webhooks=[leased(1)], attempts=[attempt(leased(1))])
    assert successes_not_settled(ledger).count == 0
    write_ledger(ledger, webhooks=[leased(-1)], attempts=[attempt(leased(-1))])
    assert successes_not_settled(ledger).count == 1


def test_failures_before_a_success_and_dead_rows_are_in_order(ledger: Warehouse) -> None:
    good, dead = webhook(1, now()), webhook(2, now(), state="dead", delivered_at=None)
    write_ledger(
        ledger,
        webhooks=[good, dead],
        attempts=[
            attempt(good, outcome="retry", status_code=503),
            attempt(good, attempt_number=2, fence=2),
            attempt(dead, outcome="dead", status_code=410),
        ],
    )
    assert successes_not_settled(ledger).count == 0
