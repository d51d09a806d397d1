"""A pause stops sending within one claim, charges no attempt, and leaves no trace afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync.clock import warehouse_clock
from sync.domain.circuit_breaker import DISABLE_AFTER, TRIP_IN_A_ROW
from sync.domain.responses import Response
from sync.errors import ConfigurationError
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.outbox import remaining
from sync.ledger.pauses import add_pause, end_pauses, read_pauses
from sync.ledger.steps import Step
from sync.operations.changes import ledger_token
from sync.operations.pauses import PauseSending, ResumeSending
from sync.warehouse import Warehouse
from tests.support.delivery import audit, enterprise
from tests.support.doubles import recorded
from tests.support.site import Built, Poster

BROKEN = Response(500, None, "")
DAY = timedelta(days=1)
OUTBOX = "analytics.sync.webhook_outbox"
FIRST = "https://hooks.example.com/0"
SECOND = "https://hooks.example.com/1"
SELECTIONS: dict[str, dict[str, Any]] = {
    "everything": {"everything": True},
    "a customer": {"enterprise": enterprise(1)},
    "an endpoint": {"endpoint_id": 1},
}


def pause(warehouse: Warehouse, **given: Any) -> None:
    request = PauseSending(reason="they asked", requested_by="night", **given)
    request.run(warehouse, warehouse_clock(warehouse))


def resume(warehouse: Warehouse, **selection: Any) -> str:
    request = ResumeSending(requested_by="night", **selection)
    return request.run(warehouse, warehouse_clock(warehouse)).outcome


def on(warehouse: Warehouse) -> list[str]:
    return [one.what for one in read_pauses(warehouse, warehouse_clock(warehouse)()).on]


def charged(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Rows and endpoints whose state has changed since the start."""
    return warehouse.rows(
        f"select webhook_id from {OUTBOX} where state <> 'pending' or attempt_count > 0"
    ) + warehouse.rows(
        "select endpoint_id from analytics.sync.endpoint_state where breaker_state <> 'closed'"
        " or consecutive_failures > 0 or window_failures > 0 or failing_since is not null"
    )


@pytest.mark.parametrize("what", SELECTIONS)
def test_a_run_that_is_sending_stops_within_one_claim_and_the_others_go_on(
    built: Built, warehouse: Warehouse, what: str
) -> None:
    site, poster = built(30, 30), Poster()
    is_paused = False

    def hook(step: Step) -> None:
        nonlocal is_paused
        if step is Step.SETTLED and not is_paused:
            is_paused = True
            pause(warehouse, **SELECTIONS[what])

    site.send(poster, hook=hook)
    assert 0 < poster.urls[FIRST] <= 20
    assert poster.urls[SECOND] == 30 or what == "everything"
    assert audit(warehouse, is_at_rest=True) == []
    assert warehouse.rows(f"select webhook_id from {OUTBOX} where lease_owner is not null") == []
    resume(warehouse, **SELECTIONS[what])
    site.send(poster, batch_size=100)
    assert poster.sent == dict.fromkeys(site.ids, 1)
    assert audit(warehouse, is_at_rest=True) == []


def test_while_it_lasts_nothing_is_sent_charged_or_aged_and_then_it_ends_by_itself(
    built: Built, warehouse: Warehouse
) -> None:
    site, poster = built(3), Poster()
    pause(warehouse, everything=True, until=site.run.clock(warehouse)() + 3 * DAY)
    for later in (timedelta(0), DAY, 2 * DAY):
        site.run = replace(site.run, ahead=later)
        report = site.send(poster)
        assert (poster.sent.total(), report.next_due_at) == (0, None)
    assert charged(warehouse) == []
    site.run = replace(site.run, ahead=3 * DAY)
    site.send(poster)
    assert poster.sent == dict.fromkeys(site.ids, 1)


def test_resumption_sends_at_the_pace_of_the_endpoint_and_the_oldest_first(
    built: Built, warehouse: Warehouse
) -> None:
    site, poster = built(20, max_requests_per_minute=1), Poster()
    first = warehouse.rows(f"select min(webhook_id) as id from {OUTBOX}")[0]["id"]
    warehouse.execute(
        f"update {OUTBOX} set next_attempt_at = dateadd('day', -2, next_attempt_at)"
        " where webhook_id = ?",
        first,
    )
    pause(warehouse, endpoint_id=1)
    site.send(poster)
    resume(warehouse, endpoint_id=1)
    site.send(poster)
    assert poster.sent == {first: 1}


@pytest.mark.parametrize("was_paused", [True, False])
def test_an_endpoint_did_not_fail_while_it_got_nothing(
    built: Built, warehouse: Warehouse, was_paused: bool
) -> None:
    """Five days of failures disable it; days of a pause do not count."""
    site, poster = (
        built(20),
        Poster(lambda url: Response(500, None, "")),
    )
    now = site.run.clock(warehouse)()
    EndpointStates(warehouse).change(
        [1],
        lambda state: replace(state, consecutive_failures=TRIP_IN_A_ROW, failing_since=now - DAY),
    )
    if was_paused:
        pause(warehouse, endpoint_id=1, until=now + DISABLE_AFTER - DAY)
    site.run = site.run.later(DISABLE_AFTER)
    site.send(poster)
    state = EndpointStates(warehouse).load([1])[1]
    assert poster.sent.total() > 0
    assert (state.disabled_at is None) is was_paused


def test_a_batch_costs_one_look_and_a_look_one_statement(
    built: Built, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, poster, steps = built(20, 20), Poster(), Counter[Step]()
    looks = recorded(monkeypatch, "sync.ledger.claims.read_pauses")
    site.send(poster, hook=lambda step: steps.update([step]))
    assert steps[Step.CLAIMED] >= 4
    assert looks.call_count == steps[Step.RESERVED]
    now, before = site.run.clock(warehouse)(), warehouse.statements
    read_pauses(warehouse, now)
    assert warehouse.statements - before == 1


def test_paused_webhooks_wake_nobody_before_the_pause_ends_and_its_end_by_hand_does(
    built: Built, warehouse: Warehouse
) -> None:
    built(3)
    now = warehouse_clock(warehouse)()

    def sendable_at() -> object:
        return remaining(warehouse, read_pauses(warehouse, now)).sendable_at

    assert sendable_at() is not None
    tokens = [ledger_token(warehouse)]
    pause(warehouse, everything=True)
    tokens.append(ledger_token(warehouse))
    assert sendable_at() is None
    pause(warehouse, everything=True, until=now + DAY)
    assert sendable_at() == now + DAY
    resume(warehouse, everything=True)
    tokens.append(ledger_token(warehouse))
    assert len(set(tokens)) == 3


def test_a_newer_pause_takes_the_place_of_the_older_and_resume_ends_only_its_own(
    built: Built, warehouse: Warehouse
) -> None:
    built(1, 1)
    for selection in (*SELECTIONS.values(), SELECTIONS["everything"]):
        pause(warehouse, **selection)
    assert len(on(warehouse)) == 3
    assert resume(warehouse, everything=True).startswith("everything is no longer paused")
    assert sorted(on(warehouse)) == sorted([f"enterprise {enterprise(1)}", "endpoint 1"])
    assert "nothing was changed" in resume(warehouse, everything=True)
    assert "nothing was changed" in resume(warehouse, endpoint_id=2)
    rows = warehouse.rows(
        "select resumed_by from analytics.sync.pauses where resumed_at is not null"
    )
    assert [row["resumed_by"] for row in rows] == ["night", "night"]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, "name one"),
        ({"everything": True, "endpoint_id": 1}, "name one"),
        ({"endpoint_id": 77}, "no endpoint 77"),
        ({"enterprise": enterprise(77)}, "has no endpoint in marts"),
        ({"everything": True, "until": "2026-01-01"}, "is in the past"),
    ],
)
def test_a_pause_of_nothing_is_refused(
    built: Built, warehouse: Warehouse, given: dict[str, Any], names: str
) -> None:
    built(1)
    with pytest.raises(ConfigurationError, match=names):
        PauseSending.read({"reason": "x"} | given).run(warehouse, warehouse_clock(warehouse))
    assert on(warehouse) == []


@pytest.mark.parametrize("apart", [timedelta(0), timedelta(seconds=1)])
def test_of_two_who_pause_at_once_the_pause_of_one_stays(
    built: Built, warehouse: Warehouse, apart: timedelta
) -> None:
    """Each ends the older pauses after writing its own, without checking first."""
    built(1)
    now = warehouse_clock(warehouse)()
    both: dict[str, Any] = {"enterprise": None, "endpoint_id": None, "by": "night"}
    times = {
        add_pause(warehouse, **both, until=None, reason="they asked", now=at): at
        for at in (now - apart, now)
    }
    for mine, at in times.items():
        end_pauses(warehouse, **both, now=at, but=mine)
    assert on(warehouse) == ["everything"]
