"""Each condition of each statement that moves ledger rows excludes a neighboring row.

A statement finds one row that it is meant for, and others that each differ in one respect.
Warehouses enforce no key, so two rows with one id stand for a concurrent change by another session.
``tests/mutations/conditions.py`` removes the conditions one by one; a test here must fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from sync.delivery.events import check_held
from sync.delivery.record import Recorded, _record, record
from sync.domain.endpoint import Endpoint
from sync.domain.event_types import EventType
from sync.domain.pacing import Grant
from sync.domain.responses import Response
from sync.domain.states import Reason, State
from sync.domain.work import Attempt, Claim
from sync.ledger.activation import activate
from sync.ledger.attempts import settle, settle_logged
from sync.ledger.claims import Claims
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.erasures import begin_erasure, erase_from_ledger, finish_erasure, person_key
from sync.ledger.outbox import Outbox, open_work
from sync.ledger.recording_lease import Granted, TakenBy, recording_lease
from sync.ledger.retention import apply_retention
from sync.ledger.steps import nothing
from sync.ledger.tables import ACTIVATIONS, MESSAGES, ensure_ledger, fill_row_ids
from sync.operations import operation
from sync.operations.backfill import Backfill
from sync.operations.erase import _empty, _empty_excerpts, _that_name
from sync.operations.operation import Done
from sync.operations.replay import Replay, ReplayState
from sync.operations.reroute import Reroute
from sync.warehouse import Warehouse
from tests.support.attempts import made
from tests.support.completions import ENTERPRISE, add_completions, completion
from tests.support.event_types import COMPLETIONS, ENROLLMENTS
from tests.support.ledger_rows import attempt, endpoint_state, webhook, write_ledger
from tests.support.marts import (
    ENDPOINT_COLUMNS,
    ENROLLMENT_COLUMNS,
    create_marts,
    create_table,
    endpoint,
    enrollment,
)
from tests.support.pipeline import OTHER_ENTERPRISE
from tests.support.scenarios import Scenarios

NOW = datetime(2026, 11, 20, 12)
PAST = (NOW - timedelta(hours=1)).isoformat()
AHEAD = (NOW + timedelta(hours=1)).isoformat()
OUTBOX = "analytics.sync.webhook_outbox"


@pytest.fixture
def ledger(scenarios: Scenarios, warehouse: Warehouse) -> Warehouse:
    """A ledger without rows or marts."""
    scenarios.stand("ledger", ensure_ledger)
    return warehouse


def pending(user_id: int, **changes: object) -> dict[str, object]:
    """A message that is due and unclaimed."""
    return webhook(
        user_id,
        NOW - timedelta(hours=2),
        **{
            "state": "pending",
            "attempt_count": 0,
            "delivered_at": None,
            "body": "{}",
            "next_attempt_at": PAST,
            **changes,
        },
    )


def twin(row: dict[str, object], user_id: int, **changes: object) -> dict[str, object]:
    """Another row with the same id."""
    return {**row, "user_id": user_id, **changes}


def changed(warehouse: Warehouse) -> dict[int, dict[str, Any]]:
    """Rows that were changed, by learner."""
    rows = warehouse.rows(
        f"select * from {OUTBOX} where updated_at = cast(? as timestamp_ntz)", NOW.isoformat()
    )
    return {int(row["user_id"]): row for row in rows}


def outbox(warehouse: Warehouse) -> Outbox:
    return Outbox(warehouse, lambda: NOW, "run-1")


def claim_of(row: dict[str, object], fence: int) -> Claim:
    return Claim(str(row["webhook_id"]), 1, b"{}", attempt_count=0, fence=fence)


LEASED = {"lease_owner": "run-1:a", "lease_expires_at": AHEAD}


def test_a_release_frees_only_what_is_still_under_the_claim(ledger: Warehouse) -> None:
    rows = [pending(n, fence=3, **LEASED) for n in (1, 2, 3)]
    write_ledger(ledger, webhooks=rows)
    outbox(ledger).release([claim_of(rows[0], 3), claim_of(rows[1], 2)])
    assert set(changed(ledger)) == {1}, "not one claimed anew since, nor one that was not named"


def test_a_run_that_is_stopped_gives_back_what_it_holds_and_nothing_else(
    ledger: Warehouse,
) -> None:
    owners = ["run-1:a", "run-1:b", "run-10:a", "run-2:a", None]
    rows = [pending(n, lease_owner=owner) for n, owner in enumerate(owners, start=1)]
    write_ledger(ledger, webhooks=rows)
    outbox(ledger).release_all()
    assert set(changed(ledger)) == {1, 2}


RESULTS = {
    "pending": Response(500, None, "", 5),
    "dead": Response(410, None, "", 5),
    "delivered": Response(200, None, "", 5),
}


def result(row: dict[str, object], state: str, *, fence: int) -> Attempt:
    return made(claim_of(row, fence), RESULTS[state], started_at=NOW - timedelta(hours=1))


def test_a_result_moves_a_row_only_under_its_own_claim_unless_it_is_a_success(
    ledger: Warehouse,
) -> None:
    done = {"state": "delivered", "delivered_at": PAST}
    rows = {
        1: pending(1, fence=3),
        2: pending(2, fence=3),
        3: pending(3, fence=3),
        4: pending(4, fence=3, **done),
        5: pending(5, fence=3, replay_id="again", **done),
        6: pending(6, fence=3, replay_id="again", **done),
        7: pending(7, fence=3, replay_id="again", **done),
        8: pending(8, fence=3, **done),
        9: pending(9, fence=3),
    }
    write_ledger(ledger, webhooks=rows.values())
    settle(
        ledger,
        [
            result(rows[1], "pending", fence=3),
            result(rows[2], "dead", fence=2),
            result(rows[3], "delivered", fence=2),
            result(rows[4], "dead", fence=3),
            result(rows[5], "dead", fence=3),
            result(rows[6], "dead", fence=2),
            result(rows[7], "delivered", fence=2),
            result(rows[8], "delivered", fence=2),
        ],
        clock=lambda: NOW,
    )
    found = changed(ledger)
    assert {user: (row["state"], row["replay_id"]) for user, row in found.items()} == {
        1: ("pending", None),
        3: ("delivered", None),
        5: ("delivered", None),
    }


def test_an_attempt_is_logged_once_for_each_claim(ledger: Warehouse) -> None:
    rows = [pending(n, fence=3) for n in (1, 2)]
    write_ledger(ledger, webhooks=rows, attempts=[attempt(rows[0], fence=1)])
    attempts = [result(rows[0], "pending", fence=2), result(rows[1], "pending", fence=1)]
    for _ in range(2):
        settle(ledger, attempts, clock=lambda: NOW)
    logged = ledger.rows("select webhook_id, fence from analytics.sync.webhook_attempts")
    assert sorted((row["webhook_id"], int(row["fence"])) for row in logged) == sorted(
        [(rows[0]["webhook_id"], 1), (rows[0]["webhook_id"], 2), (rows[1]["webhook_id"], 1)]
    )


def test_a_logged_success_settles_the_row_that_its_dead_run_has_left(ledger: Warehouse) -> None:
    rows = [
        pending(1, **LEASED),
        pending(2),
        pending(3, state="delivered", delivered_at=PAST, **LEASED),
        pending(4, **LEASED),
        pending(5, **LEASED),
    ]
    logged = [attempt(row) for row in rows[:3]] + [attempt(rows[3], outcome="retry")]
    write_ledger(ledger, webhooks=rows, attempts=logged)
    settle_logged(ledger, leased_since=NOW - timedelta(hours=2), clock=lambda: NOW)
    assert {user: row["state"] for user, row in changed(ledger).items()} == {1: "delivered"}


NOT_DUE: dict[str, dict[str, object]] = {
    "held": {"state": "held"},
    "dead": {"state": "dead"},
    "delivered and not replayed": {"state": "delivered", "replay_id": None},
    "not delivered and replayed": {"state": "dead", "replay_id": "again"},
    "not before later": {"next_attempt_at": AHEAD},
    "under a lease": {"lease_owner": "run-2:b", "lease_expires_at": AHEAD},
}


def claim(ledger: Warehouse, *, limit: int = 100) -> list[int]:
    """Three slots of endpoint 1."""
    row = dict.fromkeys(ENDPOINT_COLUMNS) | endpoint(1, "https://hooks.example.com/one")
    claims = Claims(ledger, lambda: NOW, "run-1", [Endpoint.from_row(row)], nothing)
    granted = [Grant(endpoint_id=1, count=3, first_at=NOW, spacing=timedelta(0))]
    claims._claim(granted, {}, limit, timedelta(minutes=10))  # pyright: ignore[reportPrivateUsage]
    return sorted(changed(ledger))


@pytest.mark.parametrize("why", NOT_DUE)
def test_what_is_not_due_is_not_claimed_and_takes_no_place(ledger: Warehouse, why: str) -> None:
    """Three slots, three due rows: one for each way to be due."""
    due = [
        pending(1),
        pending(2, lease_owner="run-2:b", lease_expires_at=PAST),
        pending(3, state="delivered", delivered_at=PAST, replay_id="again"),
    ]
    earlier = (NOW - timedelta(hours=9)).isoformat()
    kept_out = [pending(n, **{"next_attempt_at": earlier, **NOT_DUE[why]}) for n in (11, 12, 13)]
    # With claimed ids, as if another session had changed them since they were chosen.
    kept_out += [twin(row, 20 + n, **NOT_DUE[why]) for n, row in enumerate(due)]
    write_ledger(ledger, webhooks=due + kept_out)
    assert set(claim(ledger)) == {1, 2, 3}


def test_a_row_of_another_customer_than_its_endpoint_is_not_claimed(ledger: Warehouse) -> None:
    earlier = {"next_attempt_at": (NOW - timedelta(hours=9)).isoformat()}
    other = {"enterprise_customer_uuid": OTHER_ENTERPRISE}
    rows = [pending(n, **earlier, **other) for n in (11, 12, 13)]
    write_ledger(ledger, webhooks=[pending(1), pending(2), *rows])
    assert set(claim(ledger)) == {1, 2}


def test_no_more_is_claimed_than_was_granted_and_asked_for(ledger: Warehouse) -> None:
    rows = [pending(n) for n in range(1, 6)] + [pending(n, endpoint_id=2) for n in (11, 12)]
    write_ledger(ledger, webhooks=rows)
    assert len(claim(ledger)) == 3, "the endpoint's rate, and nothing of another endpoint"
    write_ledger(ledger, webhooks=rows)
    assert len(claim(ledger, limit=2)) == 2


def test_a_message_is_decided_once(ledger: Warehouse) -> None:
    rows = [
        pending(1, state="awaiting", body=None),
        pending(2, state="held", body=None),
        pending(3, state="held", body='{"first": true}', fence=4),
        pending(4, state="suppressed", body=None),
        pending(5, state="awaiting", body=None),
        pending(6, state="dead", body=None),
    ]
    write_ledger(ledger, webhooks=rows)
    create_marts(ledger, endpoints=[endpoint(1, "https://hooks.example.com/")])
    outbox(ledger).decide(
        {
            "webhook_id": row["webhook_id"],
            "state": State.PENDING,
            "endpoint_id": 1,
            "body": '{"new": 1}',
        }
        for row in rows
        if row["user_id"] != 5
    )
    assert set(changed(ledger)) == {1, 2}


def test_only_a_message_that_nobody_was_sent_gives_way_to_another_of_its_lost_endpoint(
    ledger: Warehouse,
) -> None:
    rows = [
        pending(1, fence=0),
        pending(2, fence=0, state="held"),
        pending(11, fence=1),
        pending(12, fence=0, endpoint_id=2),
        pending(13, fence=0, state="dead"),
        pending(14, fence=0),
    ]
    write_ledger(ledger, webhooks=rows)
    outbox(ledger).decide(
        {
            "webhook_id": row["webhook_id"],
            "state": State.PENDING,
            "endpoint_id": 3,
            "body": "{}",
            "lost_endpoint_id": 1,
        }
        for row in rows[:-1]
    )
    assert set(changed(ledger)) == {1, 2}


def test_what_is_held_says_so_when_its_event_is_gone_and_when_it_is_back(
    ledger: Warehouse,
) -> None:
    create_marts(ledger, endpoints=[endpoint(1, "https://hooks.example.com/")])
    gone, held = {"state_reason": Reason.NO_LONGER_REPORTABLE}, {"state": "held"}
    present = [completion(n, PAST) for n in (1, 2, 14)]
    # Each differs in one part of the key from a row whose event is missing.
    present += [
        completion(5, PAST, enterprise_customer_uuid="11111111-2222-4333-8444-555555555555"),
        completion(6, PAST, courserun_key="course-v1:Other+C1+2026"),
    ]
    add_completions(ledger, present)
    rows = [
        pending(1, **held, **gone),
        pending(3, **held),
        pending(5, **held),
        pending(6, **held),
        pending(2, **held, state_reason="endpoint_disabled"),
        pending(11, **held, **gone),
        pending(12, **held, body=None),
        pending(13),
    ]
    # As if another session had moved or emptied the row since the lookup.
    rows += [twin(rows[1], 21, state="pending"), twin(rows[1], 22, body=None)]
    # Without its event, next to a row that has it.
    rows += [
        twin(rows[4], 23, state="pending"),
        twin(rows[4], 24, body=None),
        twin(rows[4], 25, event_type=OTHER),
    ]
    write_ledger(ledger, webhooks=rows)
    check_held(ledger, open_work(ledger).held_types, clock=lambda: NOW)
    assert {user: row["state_reason"] for user, row in changed(ledger).items()} == {
        1: None,
        **dict.fromkeys((3, 5, 6), Reason.NO_LONGER_REPORTABLE),
    }


def test_only_free_messages_of_an_unusable_endpoint_are_held(ledger: Warehouse) -> None:
    """This also removes an expired lease, so the row has no owner."""
    reason = "endpoint_disabled"
    held = {"state": "held"}
    rows = [
        pending(1),
        pending(2, lease_owner="run-2:b", lease_expires_at=PAST),
        pending(3, **held, state_reason="endpoint_inactive"),
        pending(11, endpoint_id=2),
        pending(12, **held, body=None),
        pending(13, state="dead"),
        pending(14, state="delivered", replay_id="again"),
        pending(15, **held, state_reason=reason),
        pending(16, **held, state_reason=Reason.NO_LONGER_REPORTABLE),
        pending(17, **LEASED),
    ]
    write_ledger(ledger, webhooks=rows)
    usable = Endpoint.from_row(endpoint(2, "https://hooks.example.com/"))
    outbox(ledger).hold_and_release({1: reason}, [usable])
    found = changed(ledger)
    assert set(found) == {1, 2, 3}
    assert {(row["state"], row["state_reason"]) for row in found.values()} == {("held", reason)}
    assert {(row["lease_owner"], row["lease_expires_at"]) for row in found.values()} == {
        (None, None)
    }


def test_only_held_messages_of_a_usable_endpoint_are_freed(ledger: Warehouse) -> None:
    held = {"state": "held", "state_reason": "endpoint_disabled"}
    rows = [
        pending(1, **held),
        pending(11, **held, endpoint_id=2),
        pending(12, **{**held, "state": "dead"}),
        pending(13, **{**held, "state_reason": Reason.NO_LONGER_REPORTABLE}),
        pending(14, **held, body=None),
        pending(15, **held, next_attempt_at=AHEAD),
        pending(16, **held, event_type="course_enrollment"),
        pending(17, **held, enterprise_customer_uuid=OTHER_ENTERPRISE),
    ]
    write_ledger(ledger, webhooks=rows)
    usable = Endpoint.from_row(endpoint(1, "https://hooks.example.com/"))
    outbox(ledger).hold_and_release({}, [usable], unchecked=["course_enrollment"])
    found = {user: (row["state"], row["state_reason"]) for user, row in changed(ledger).items()}
    assert found == {1: ("pending", None), 17: ("held", "endpoint_missing")}


def test_a_message_in_a_format_that_nobody_knows_is_held_and_not_freed(ledger: Warehouse) -> None:
    held = {"state": "held", "state_reason": "endpoint_disabled"}
    rows = [
        pending(1, payload_format="acme"),
        pending(2, payload_format="acme", **held),
        pending(3, **held),
        pending(11),
        pending(12, payload_format="acme", endpoint_id=2),
    ]
    write_ledger(ledger, webhooks=rows)
    usable = Endpoint.from_row(endpoint(1, "https://hooks.example.com/"))
    outbox(ledger).hold_and_release({}, [usable], unknown_formats=[(1, "acme")])
    found = {user: (row["state"], row["state_reason"]) for user, row in changed(ledger).items()}
    invalid = "held", "endpoint_row_invalid"
    assert found == {1: invalid, 2: invalid, 3: ("pending", None)}


class Counts(Warehouse):
    """A session that records how many rows each statement changed in tables where runs could block
    each other; to ``webhook_messages`` they only add."""

    def execute(self, sql: str, *binds: object) -> int:
        changed = super().execute(sql, *binds)
        if MESSAGES not in sql.split("set", 1)[0].lower():
            self.counts = [*getattr(self, "counts", ()), changed]
        return changed


def test_retention_empties_only_old_messages_that_are_finished(ledger: Warehouse) -> None:
    def old(user_id: int, **changes: object) -> dict[str, object]:
        updated = (NOW - timedelta(days=99)).isoformat()
        done = {"state": "delivered", "updated_at": updated, **changes}
        return pending(user_id, **done)

    rows = [
        old(1),
        old(2, state="dead"),
        old(3, state="suppressed"),
        old(11, state="pending"),
        old(12, state="held"),
        old(13, replay_id="again"),
        old(14, body=None),
        old(15, updated_at=PAST),
        old(16, state="awaiting"),
    ]
    # What another session has done to a row since it was chosen.
    rows += [
        twin(rows[0], 20 + n, **change)
        for n, change in enumerate(
            ({"state": "pending"}, {"replay_id": "again"}, {"body": None}, {"updated_at": PAST})
        )
    ]
    # Older rows that do not qualify, enough of each kind to fill a batch.
    older = {"updated_at": (NOW - timedelta(days=300)).isoformat()}
    rows += [
        old(30 + n, **older, **change)
        for n, change in enumerate(({"replay_id": "again"}, {"body": None}) * 2)
    ]
    ancient = (NOW - timedelta(days=99)).isoformat()
    text = {"response_excerpt": "x"}
    attempts = [
        attempt(rows[0], **text, started_at=ancient),
        attempt(rows[1], **text, started_at=PAST),
        attempt(rows[0], **text, started_at=PAST, fence=2),
        attempt(rows[0], started_at=ancient, fence=3),
        attempt(rows[2], started_at=ancient),
        *(attempt(row, started_at=older["updated_at"]) for row in rows[-2:]),
        *(attempt(row, **text, started_at=ancient) for row in rows[-2:]),
    ]
    write_ledger(ledger, webhooks=rows, attempts=attempts)
    session = Counts(ledger.settings, ledger._connection)  # pyright: ignore[reportPrivateUsage]
    report = apply_retention(session, clock=lambda: NOW, batch=2)
    assert max(session.counts) == 2, "no statement empties more than a batch"
    assert set(changed(ledger)) == {1, 2, 3}
    assert (report.bodies, report.excerpts) == (3, 3)
    kept = ledger.rows(
        "select count(*) as n from analytics.sync.webhook_attempts"
        " where response_excerpt is not null"
    )
    assert kept[0]["n"] == 2


TYPE, OTHER = COMPLETIONS.name, ENROLLMENTS.name
LEASES = f"select event_type, lease_owner from analytics.sync.{ACTIVATIONS} order by event_type"


def add_activation(
    ledger: Warehouse, event_type: str, owner: str | None, until: str | None
) -> None:
    ledger.execute(
        f"insert into analytics.sync.{ACTIVATIONS} (event_type, activated_at, recorded_at,"
        " lease_owner, lease_expires_at, row_id) select ?, sysdate(), sysdate(), ?,"
        " cast(? as timestamp_ntz), uuid_string()",
        event_type,
        owner,
        until,
    )


@pytest.mark.parametrize(
    ("owner", "until", "is_free"),
    [(None, None, True), ("run-2:b", PAST, True), ("run-2:b", AHEAD, False)],
)
def test_a_recording_lease_is_taken_when_it_is_free_and_given_back(
    ledger: Warehouse, owner: str | None, until: str | None, *, is_free: bool
) -> None:
    add_activation(ledger, TYPE, owner, until)
    add_activation(ledger, OTHER, "run-3:c", PAST)
    with recording_lease(ledger, TYPE, run_id="run-1", clock=lambda: NOW) as lease:
        assert isinstance(lease, Granted if is_free else TakenBy)
        mine, other = ledger.rows(LEASES)
        assert mine["lease_owner"].startswith("run-1:") == is_free
        assert other["lease_owner"] == "run-3:c", "each event type has a lease of its own"
    mine, other = ledger.rows(LEASES)
    assert mine["lease_owner"] == (None if is_free else owner)
    assert other["lease_owner"] == "run-3:c"


class Repeats(Warehouse):
    """A session that sends each statement twice, as when the connector loses a response."""

    def execute(self, sql: str, *binds: object) -> int:
        super().execute(sql, *binds)
        return super().execute(sql, *binds)


def test_a_lease_whose_first_response_was_lost_is_taken_all_the_same(ledger: Warehouse) -> None:
    add_activation(ledger, TYPE, None, None)
    session = Repeats(ledger.settings, ledger._connection)  # pyright: ignore[reportPrivateUsage]
    with recording_lease(session, TYPE, run_id="run-1", clock=lambda: NOW) as lease:
        assert isinstance(lease, Granted)


def test_a_lease_that_was_lost_in_between_allows_no_recording(ledger: Warehouse) -> None:
    """Lost to a change of its row or to another row of the type, but not of another type."""
    activate(ledger, clock=lambda: NOW, activated_at=None)
    with recording_lease(ledger, TYPE, run_id="run-1", clock=lambda: NOW) as lease:
        assert isinstance(lease, Granted)

        def is_met() -> bool:
            return bool(ledger.rows(f"select 1 as one where {lease.condition}", *lease.binds))

        assert is_met()
        add_activation(ledger, OTHER, "run-2:b", AHEAD)
        add_activation(ledger, TYPE, "run-2:b", PAST)
        assert is_met(), "another type's lease, and one that has run out"
        add_activation(ledger, TYPE, "run-2:c", AHEAD)
        assert not is_met()
        ledger.execute(f"delete from analytics.sync.{ACTIVATIONS} where lease_owner = 'run-2:c'")
        ledger.execute(
            f"update analytics.sync.{ACTIVATIONS} set lease_owner = 'run-4:d',"
            " lease_expires_at = null where lease_owner like 'run-1:%'"
        )
        assert not is_met()


def test_only_one_activation_of_a_type_is_inserted(ledger: Warehouse) -> None:
    add_activation(ledger, OTHER, None, None)
    for _ in range(2):
        activate(ledger, clock=lambda: NOW, activated_at=None)
    assert [row["event_type"] for row in ledger.rows(LEASES)] == [TYPE, OTHER]


def test_an_event_is_known_only_by_all_of_its_key(ledger: Warehouse) -> None:
    """And the activation of another type does not apply to this one."""
    create_marts(ledger, endpoints=[endpoint(1, "https://hooks.example.com/")])
    add_completions(ledger, [completion(1, PAST)])
    rows = [
        pending(1, event_type=OTHER),
        pending(1, enterprise_customer_uuid=ANOTHER),
        pending(1, courserun_key="course-v1:Other+C1+2026"),
        pending(2),
    ]
    write_ledger(ledger, webhooks=rows)
    add_activation(ledger, OTHER, None, None)
    ledger.execute(f"update analytics.sync.{ACTIVATIONS} set first_used_at = '2020-01-01'")
    since = NOW - timedelta(days=1)
    for recorded in (1, 0):
        found = record(ledger, run_id="run-1", clock=lambda: NOW, activated_at=since)
        assert found == Recorded(since, recorded, 0)


ANOTHER = "11111111-2222-4333-8444-555555555555"
"""A customer without an endpoint."""
MINE = f"update analytics.sync.{ACTIVATIONS} set"


def recorded(
    ledger: Warehouse,
    meanwhile: Callable[[], object],
    *,
    source: EventType = COMPLETIONS,
    limit: int | None = None,
) -> set[int]:
    """Learners of the rows that a run records if others act after it took its lease."""
    since = activate(ledger, clock=lambda: NOW, activated_at=None, event_type=source.name)
    with recording_lease(ledger, source.name, run_id="run-1", clock=lambda: NOW) as lease:
        assert isinstance(lease, Granted)
        meanwhile()
        inserted = _record(
            ledger, source, lease, since=since, clock=lambda: NOW, run_id="run-1", limit=limit
        )
    found = ledger.rows(f"select user_id from {OUTBOX} where recorded_run_id = 'run-1'")
    assert inserted == len(found)
    assert len({row["user_id"] for row in found}) == len(found)
    return {int(row["user_id"]) for row in found}


def test_only_new_events_of_learners_who_are_not_erased_are_recorded(ledger: Warehouse) -> None:
    """By a run whose lease and activation are valid, next to those of others."""
    create_marts(ledger, completions=[completion(n, AHEAD) for n in (1, 1, 2, 3)])
    write_ledger(ledger, webhooks=[pending(2)])
    begin_erasure(ledger, person_key(3), requested_by="test", reason="", now=NOW)

    def others() -> None:
        add_activation(ledger, OTHER, "run-2:b", AHEAD)
        add_activation(ledger, TYPE, "run-3:c", PAST)

    assert recorded(ledger, others, limit=1) == {1}


@pytest.mark.parametrize(
    "meanwhile",
    [
        f"{MINE} lease_owner = 'run-2:b', lease_expires_at = null",
        f"insert into analytics.sync.{ACTIVATIONS} (event_type, activated_at, recorded_at,"
        f" lease_owner, lease_expires_at) select 'course_completion', '{AHEAD}', '{AHEAD}',"
        f" 'run-2:b', '{AHEAD}'",
        f"{MINE} activated_at = '{PAST}'",
        "insert into analytics.marts.completed_enrollments select * replace (2 as user_id)"
        " from analytics.marts.completed_enrollments",
    ],
    ids=["its lease is gone", "another has one", "its activation is gone", "more are new"],
)
def test_nothing_is_recorded_once_what_allowed_it_is_gone(
    ledger: Warehouse, meanwhile: str
) -> None:
    create_marts(ledger, completions=[completion(1, AHEAD)])
    assert recorded(ledger, lambda: ledger.execute(meanwhile), limit=1) == set()


def test_only_enrollments_that_an_active_endpoint_wants_are_recorded(ledger: Warehouse) -> None:
    url, wanted = "https://hooks.example.com/", {"is_enrollment_events_enabled": True}
    inactive, deaf = "22222222-2222-4333-8444-555555555555", "33333333-2222-4333-8444-555555555555"
    create_marts(
        ledger,
        endpoints=[
            endpoint(1, url, **wanted),
            endpoint(2, url, enterprise_customer_uuid=inactive, is_active=False, **wanted),
            endpoint(3, url, enterprise_customer_uuid=deaf),
        ],
    )
    create_table(
        ledger,
        "enterprise_enrollments",
        ENROLLMENT_COLUMNS,
        [
            *(enrollment(1) for _ in range(2)),
            enrollment(2, enterprise_customer_uuid=inactive),
            enrollment(3, enterprise_customer_uuid=deaf),
            enrollment(4, enterprise_customer_uuid=ANOTHER),
        ],
    )
    assert recorded(ledger, lambda: None, source=ENROLLMENTS) == {1}


def request(ledger: Warehouse, request_id: str) -> None:
    ledger.execute(
        "insert into analytics.sync.replays"
        " (replay_id, requested_at, requested_by, selection, matched)"
        f" select ?, '{NOW - timedelta(hours=1)}'::timestamp_ntz, 'test', parse_json('{{}}'), 1",
        request_id,
    )


def ask(ledger: Warehouse, wanted: operation.Change, *, moves: int) -> Done:
    return wanted.apply(ledger, lambda: NOW, confirmed=moves, by="test", request_id="mine")


def late_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests with the same id commit after the check for it."""
    monkeypatch.setattr(operation, "recorded_matches", lambda warehouse, request_id: None)


def hold_all(ledger: Warehouse, rows: Sequence[Mapping[str, object]]) -> None:
    """The marts contain the event of every row."""
    keys = ("enterprise_customer_uuid", "user_id")
    present = [{**completion(1, PAST), **{key: row[key] for key in keys}} for row in rows]
    create_marts(ledger, completions=present)


@pytest.mark.parametrize("is_repeated", [False, True])
def test_a_replay_moves_what_meets_all_its_conditions_once(
    ledger: Warehouse, monkeypatch: pytest.MonkeyPatch, *, is_repeated: bool
) -> None:
    start, dead = NOW - timedelta(hours=3), {"state": "dead", "state_reason": "gone"}
    rows = [
        pending(1, **dead),
        pending(2, **dead, recorded_at=start.isoformat()),
        pending(11, **dead, endpoint_id=2),
        pending(12, **dead, enterprise_customer_uuid=ANOTHER),
        pending(13, **{**dead, "state": "delivered"}),
        pending(14, **{**dead, "state_reason": "exhausted"}),
        pending(15, **dead, recorded_at=(start - timedelta(seconds=1)).isoformat()),
        pending(16, **dead, recorded_at=NOW.isoformat()),
        pending(17, **dead),
    ]
    hold_all(ledger, rows)
    write_ledger(ledger, webhooks=rows)
    request(ledger, "mine" if is_repeated else "another")
    late_to_know(monkeypatch)
    moved = set() if is_repeated else {1, 2}
    wanted = Replay(
        webhook_ids=[str(row["webhook_id"]) for row in rows[:-1]],
        endpoint_id=1,
        enterprise=ENTERPRISE,
        state=ReplayState.DEAD,
        state_reason="gone",
        since=start,
        until=NOW,
    )
    ask(ledger, wanted, moves=len(moved))
    assert set(changed(ledger)) == moved


@pytest.mark.parametrize(("is_release", "moved"), [(False, {1, 2, 3}), (True, {21, 22})])
def test_a_replay_refuses_what_is_due_anyway_and_what_has_no_message(
    ledger: Warehouse, *, is_release: bool, moved: set[int]
) -> None:
    removed = {"body_removed_at": PAST, "body": None}
    rows = [
        pending(1, state="dead"),
        pending(2, state="dead", state_reason="endpoint_missing", replay_id="again"),
        pending(3, state="delivered"),
        pending(11, state="dead", body=None),
        pending(12, state="awaiting", body=None),
        pending(13, state="held"),
        pending(14),
        pending(15, state="delivered", replay_id="again"),
        pending(16, state="delivered", body=None),
        pending(21, state="suppressed"),
        pending(22, state="suppressed", body=None, frozen_at=None),
        pending(23, state="suppressed", **removed),
    ]
    hold_all(ledger, rows)
    write_ledger(ledger, webhooks=rows)
    ids = [str(row["webhook_id"]) for row in rows]
    wanted = Replay(webhook_ids=ids, state=ReplayState.SUPPRESSED if is_release else None)
    ask(ledger, wanted, moves=len(moved))
    assert set(changed(ledger)) == moved


@pytest.mark.parametrize("limit", [2, 100])
@pytest.mark.parametrize("is_repeated", [False, True])
def test_a_backfill_moves_the_window_s_events_that_the_mart_holds_once(
    ledger: Warehouse, monkeypatch: pytest.MonkeyPatch, limit: int, *, is_repeated: bool
) -> None:
    """Rows that do not qualify are older, and do not count toward the limit."""
    since = NOW - timedelta(days=9)
    in_window = NOW - timedelta(days=1)

    def old(user_id: int, **changes: object) -> dict[str, object]:
        happened = (in_window if user_id < 10 else since) + timedelta(minutes=user_id)
        return pending(
            user_id,
            **{
                "state": "suppressed",
                "state_reason": "before_activation",
                "body": None,
                "occurred_at": happened.isoformat(),
                **changes,
            },
        )

    another = {"enterprise_customer_uuid": ANOTHER}
    rows = [
        old(1),
        old(2),
        old(11, state="dead"),
        old(12, body="{}"),
        old(13, state_reason="erased"),
        old(14, event_type=OTHER),
        old(15, occurred_at=(since - timedelta(seconds=1)).isoformat()),
        old(16, occurred_at=NOW.isoformat()),
        old(17, **another),
        old(18),
        old(19),
        old(20),
    ]
    # What another session has done to a row since it was chosen.
    rows += [twin(rows[0], 21, state="awaiting"), twin(rows[0], 22, body="{}")]
    present = [completion(n, PAST) for n in (1, 1, 2, 11, 12, 13, 14, 15, 16)]
    present += [completion(n, PAST, **another) for n in (17, 19)]
    present += [completion(18, PAST, courserun_key="course-v1:Other+C1+2026")]
    create_marts(ledger, completions=present)
    write_ledger(ledger, webhooks=rows)
    request(ledger, "mine" if is_repeated else "another")
    late_to_know(monkeypatch)
    moved = set() if is_repeated else {1, 2}
    wanted = Backfill(since=since, until=NOW, enterprise=ENTERPRISE, limit=limit)
    ask(ledger, wanted, moves=len(moved))
    assert set(changed(ledger)) == moved


@pytest.mark.parametrize("is_repeated", [False, True])
def test_only_messages_that_were_tried_and_fit_are_rerouted(
    ledger: Warehouse, monkeypatch: pytest.MonkeyPatch, *, is_repeated: bool
) -> None:
    create_marts(ledger, endpoints=[endpoint(2, "https://hooks.example.com/")])

    def lost(user_id: int, **changes: object) -> dict[str, object]:
        return pending(user_id, **{"region": "OTHER", "fence": 1, **changes})

    rows = [
        lost(1),
        lost(2, state="held", state_reason="endpoint_missing"),
        lost(3, state="delivered", replay_id="again", fence=0),
        lost(4, lease_owner="run-2:b", lease_expires_at=PAST),
        lost(11, state="held", body=None),
        lost(12, state="dead", replay_id="again"),
        lost(13, state="delivered"),
        lost(14, fence=0),
        lost(15, state="held", state_reason=Reason.NO_LONGER_REPORTABLE),
        lost(16, **LEASED),
        lost(21, enterprise_customer_uuid=ANOTHER),
        lost(22, event_type=OTHER),
        lost(23, region="EU"),
        lost(24, payload_format="percipio"),
        lost(25, endpoint_id=2),
    ]
    write_ledger(ledger, webhooks=rows)
    request(ledger, "mine" if is_repeated else "another")
    late_to_know(monkeypatch)
    moved = set() if is_repeated else {1, 2, 3, 4}
    assert ask(ledger, Reroute(), moves=len(moved)).changed == len(moved)
    assert set(changed(ledger)) == moved


def test_an_erasure_empties_one_learner_and_no_other(ledger: Warehouse) -> None:
    rows = [pending(1), pending(2)]
    attempts = [attempt(row, response_excerpt="x") for row in rows]
    write_ledger(ledger, webhooks=rows, attempts=attempts)
    assert erase_from_ledger(ledger, person_key(1), now=NOW) == 1
    (erased,) = changed(ledger)
    assert erased < 0
    kept = ledger.rows(
        "select webhook_id from analytics.sync.webhook_attempts where response_excerpt is not null"
    )
    assert [row["webhook_id"] for row in kept] == [rows[1]["webhook_id"]]


def test_an_erasure_that_was_begun_goes_on_and_one_that_was_finished_stays(
    ledger: Warehouse,
) -> None:
    def begin(user_id: int) -> str:
        return begin_erasure(ledger, person_key(user_id), requested_by="t", reason="", now=NOW)

    def finish(user_id: int, at: datetime) -> None:
        finish_erasure(ledger, person_key(user_id), counts={}, now=at)

    first = begin(1)
    assert begin(1) == first
    another = begin(2)
    finish(1, NOW)
    second = begin(1)
    finish(1, NOW + timedelta(hours=1))
    notes = ledger.rows("select erasure_id, finished_at from analytics.sync.erasures")
    assert {row["erasure_id"]: row["finished_at"] for row in notes} == {
        first: NOW,
        another: None,
        second: NOW + timedelta(hours=1),
    }


EVENT_TEXTS = (
    *("outcome", "screening", "courserun_key", "event_category", "event_key", "video_id"),
    "unselected_event_name",
)
EVENT_NUMBERS = ("video_played_from", "video_played_to", "video_speed")


def test_of_what_was_built_only_the_learner_s_rows_and_lines_are_emptied(
    ledger: Warehouse,
) -> None:
    key, named = person_key(1), _that_name([1], ["learner_1@example.com", "learner_1x"])
    lines = ['{"user_id": 1}', "to LEARNER_1@example.com", "by learner_1x", '{"user_id": 12}']
    columns = [*(f"null::varchar as {one}" for one in EVENT_TEXTS), "null::timestamp_ntz event_at"]
    columns += [f"null::float as {one}" for one in EVENT_NUMBERS]
    ledger.execute("create schema if not exists analytics.intermediate")
    ledger.execute("create schema if not exists analytics.marts")
    events, learning_time = "ANALYTICS.INTERMEDIATE.INT_TRACKING_EVENTS", "ANALYTICS.MARTS.L"
    ledger.execute(
        f"create table {events} as select value::varchar as line_excerpt, index as line_number,"
        f" iff(index = 0, 1, 2) as user_id, {', '.join(columns)}"
        " from table(flatten(input => parse_json(?)))",
        json.dumps(lines),
    )
    ledger.execute(f"create table {learning_time} as select user_id from {events}")
    assert _empty(ledger, learning_time, key) == 1
    assert _empty(ledger, events, key) == 1
    ledger.execute(f"update {events} set line_excerpt = ? where line_number = 0", lines[0])
    assert _empty_excerpts(ledger, events, *named) == 3
    kept = ledger.rows(f"select line_excerpt, user_id from {events} order by line_number")
    assert [(row["line_excerpt"], row["user_id"]) for row in kept] == [
        *(("", None if n == 0 else 2) for n in range(3)),
        (lines[3], 2),
    ]


def test_of_rows_of_one_endpoint_the_one_with_the_highest_version_stays(ledger: Warehouse) -> None:
    """Duplicates that each differ in one respect; later columns break ties."""
    write_ledger(
        ledger,
        endpoint_states=[
            endpoint_state(1, NOW, version=2, writer="a", row_id="x"),
            endpoint_state(1, NOW, version=1, writer="a", row_id="x"),
            endpoint_state(1, NOW, version=2, writer="a", row_id="w"),
            endpoint_state(2, NOW, version=1, writer="a", row_id="y"),
            endpoint_state(3, NOW, version=1, writer="b", row_id="z"),
            endpoint_state(3, NOW, version=1, writer="a", row_id="z"),
        ],
    )
    EndpointStates(ledger)._remove_twins()  # pyright: ignore[reportPrivateUsage]
    rows = ledger.rows(
        "select endpoint_id, version, writer, row_id from analytics.sync.endpoint_state"
        " order by endpoint_id"
    )
    assert [tuple(row.values()) for row in rows] == [
        (1, 2, "a", "x"),
        (2, 1, "a", "y"),
        (3, 1, "b", "z"),
    ]


def test_a_state_is_set_only_while_its_version_stands(ledger: Warehouse) -> None:
    write_ledger(
        ledger,
        endpoint_states=[
            endpoint_state(1, NOW, version=2, row_id="x"),
            endpoint_state(2, NOW, version=3, row_id="y"),
            endpoint_state(3, NOW, version=2, row_id="z"),
        ],
    )
    states = EndpointStates(ledger)
    rows, _ = states._rows([1, 2])  # pyright: ignore[reportPrivateUsage]
    before = states.load([1, 2])
    ledger.execute("update analytics.sync.endpoint_state set version = 4 where endpoint_id = 2")
    written = states._compare_and_set(before.values(), rows)  # pyright: ignore[reportPrivateUsage]
    assert written == {1}
    found = ledger.rows("select version from analytics.sync.endpoint_state order by endpoint_id")
    assert [int(row["version"]) for row in found] == [3, 4, 2]


def test_a_state_is_inserted_where_there_is_none(
    ledger: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ledger(ledger, endpoint_states=[endpoint_state(1, NOW, row_id="x")])
    monkeypatch.setattr(EndpointStates, "_remove_twins", lambda self: None)
    EndpointStates(ledger)._insert([1, 2])  # pyright: ignore[reportPrivateUsage]
    rows = ledger.rows("select endpoint_id from analytics.sync.endpoint_state order by endpoint_id")
    assert [int(row["endpoint_id"]) for row in rows] == [1, 2]


@pytest.mark.parametrize("table", ["endpoint_state", "endpoint_settings", "activations"])
def test_a_row_that_has_an_id_keeps_it(ledger: Warehouse, table: str) -> None:
    write_ledger(
        ledger,
        endpoint_states=[endpoint_state(1, NOW, row_id="x"), endpoint_state(2, NOW)],
    )
    ledger.execute(
        "insert into analytics.sync.endpoint_settings (endpoint_id, row_id)"
        " select 1, 'x' union all select 2, null"
    )
    ledger.execute(
        "insert into analytics.sync.activations (event_type, activated_at, recorded_at, row_id)"
        " select 'a', sysdate(), sysdate(), 'x' union all select 'b', sysdate(), sysdate(), null"
    )
    fill_row_ids(ledger, table)
    ids = {row["row_id"] for row in ledger.rows(f"select row_id from analytics.sync.{table}")}
    assert len(ids) == 2
    assert "x" in ids
    assert None not in ids
