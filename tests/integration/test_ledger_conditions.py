"""Each condition of each statement that moves rows of the ledger keeps a neighbor out.

A statement meets one row that it is meant for, and beside it rows that differ in one thing each.
Warehouses keep no key, so two rows of one id stand for what another session does in between.
``tests/mutations/conditions.py`` takes the conditions away one by one; a test here must notice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from sync.contract.facts import EventType
from sync.detection.activation import activate
from sync.detection.completions import Enqueued, enqueue
from sync.detection.current_facts import check_held
from sync.detection.recording_lease import Granted, TakenBy, recording_lease
from sync.ledger.attempts import finalize, settle_logged
from sync.ledger.claims import Claimed, Claims
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.journal import Entry
from sync.ledger.outbox import NO_LONGER_REPORTABLE, Decision, Outbox
from sync.ledger.retention import apply_retention
from sync.ledger.steps import nothing
from sync.ledger.tables import ACTIVATIONS, ensure_ledger, fill_row_ids
from sync.policies.pacing import Grant
from sync.warehouse import Warehouse
from tests.support.completions import add_completions, completion
from tests.support.ledger_rows import attempt, endpoint_state, webhook, write_ledger
from tests.support.marts import create_marts, endpoint

NOW = datetime(2026, 11, 20, 12)
PAST = (NOW - timedelta(hours=1)).isoformat()
AHEAD = (NOW + timedelta(hours=1)).isoformat()
OUTBOX = "analytics.sync.webhook_outbox"


@pytest.fixture
def ledger(warehouse: Warehouse) -> Warehouse:
    ensure_ledger(warehouse)
    return warehouse


def pending(user_id: int, **changes: object) -> dict[str, object]:
    """A message that is due and free."""
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
    """Another row of the same id."""
    return {**row, "user_id": user_id, **changes}


def changed(warehouse: Warehouse) -> dict[int, dict[str, Any]]:
    """Rows that were touched, by learner."""
    rows = warehouse.rows(
        f"select * from {OUTBOX} where updated_at = cast(? as timestamp_ntz)", NOW.isoformat()
    )
    return {int(row["user_id"]): row for row in rows}


def outbox(warehouse: Warehouse) -> Outbox:
    return Outbox(warehouse, lambda: NOW, "run-1")


def claimed(row: dict[str, object], fence: int) -> Claimed:
    return Claimed(
        webhook_id=str(row["webhook_id"]),
        event_type="course_completion",
        endpoint_id=1,
        body=b"{}",
        attempt_count=0,
        fence=fence,
    )


LEASED = {"lease_owner": "run-1:a", "lease_expires_at": AHEAD}


def test_a_release_frees_only_what_is_still_under_the_claim(ledger: Warehouse) -> None:
    rows = [pending(n, fence=3, **LEASED) for n in (1, 2, 3)]
    write_ledger(ledger, webhooks=rows)
    outbox(ledger).release([claimed(rows[0], 3), claimed(rows[1], 2)])
    assert set(changed(ledger)) == {1}, "not one claimed anew since, nor one that was not named"


def test_a_run_that_is_stopped_gives_back_what_it_holds_and_nothing_else(
    ledger: Warehouse,
) -> None:
    owners = ["run-1:a", "run-1:b", "run-10:a", "run-2:a", None]
    rows = [pending(n, lease_owner=owner) for n, owner in enumerate(owners, start=1)]
    write_ledger(ledger, webhooks=rows)
    outbox(ledger).release_all()
    assert set(changed(ledger)) == {1, 2}


def result(row: dict[str, object], state: str, *, fence: int) -> Entry:
    return Entry(
        {
            "webhook_id": row["webhook_id"],
            "endpoint_id": 1,
            "fence": fence,
            "attempt_number": 1,
            "run_id": "run-1",
            "started_at": PAST,
            "duration_ms": 5,
            "outcome": "retry" if state == "pending" else state,
        },
        {
            "webhook_id": row["webhook_id"],
            "fence": fence,
            "state": state,
            "attempt_count": 1,
            "next_attempt_at": AHEAD if state == "pending" else None,
            "delivered_at": PAST if state == "delivered" else None,
        },
    )


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
    finalize(
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
        hook=nothing,
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
    entries = [result(rows[0], "pending", fence=2), result(rows[1], "pending", fence=1)]
    for _ in range(2):
        finalize(ledger, entries, clock=lambda: NOW, hook=nothing)
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
    settle_logged(ledger, clock=lambda: NOW)
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
    claims = Claims(ledger, lambda: NOW, "run-1", [], nothing)
    granted = [Grant(endpoint_id=1, count=3, first_at=NOW, spacing=timedelta(0))]
    claims._claim(granted, {}, limit, timedelta(minutes=10))  # pyright: ignore[reportPrivateUsage]
    return sorted(changed(ledger))


@pytest.mark.parametrize("why", NOT_DUE)
def test_what_is_not_due_is_not_claimed_and_takes_no_place(ledger: Warehouse, why: str) -> None:
    """Three slots, three due rows: each way to be due, and none more."""
    due = [
        pending(1),
        pending(2, lease_owner="run-2:b", lease_expires_at=PAST),
        pending(3, state="delivered", delivered_at=PAST, replay_id="again"),
    ]
    earlier = (NOW - timedelta(hours=9)).isoformat()
    kept_out = [pending(n, **{"next_attempt_at": earlier, **NOT_DUE[why]}) for n in (11, 12, 13)]
    # Of the ids that are claimed, as if another session had changed them since they were chosen.
    kept_out += [twin(row, 20 + n, **NOT_DUE[why]) for n, row in enumerate(due)]
    write_ledger(ledger, webhooks=due + kept_out)
    assert set(claim(ledger)) == {1, 2, 3}


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
        Decision(
            webhook_id=str(row["webhook_id"]), state="pending", endpoint_id=1, body=b'{"new": 1}'
        )
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
        Decision(
            webhook_id=str(row["webhook_id"]),
            state="pending",
            endpoint_id=3,
            body=b"{}",
            lost_endpoint_id=1,
        )
        for row in rows[:-1]
    )
    assert set(changed(ledger)) == {1, 2}


def test_what_is_held_says_so_when_its_event_is_gone_and_when_it_is_back(
    ledger: Warehouse,
) -> None:
    create_marts(ledger, endpoints=[endpoint(1, "https://hooks.example.com/")])
    gone, held = {"state_reason": NO_LONGER_REPORTABLE}, {"state": "held"}
    present = [completion(n, PAST) for n in (1, 2, 14)]
    # Each differs in one part of the key from a row whose event is gone.
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
    # As if another session had moved the row, or emptied it, since it was looked up.
    rows += [twin(rows[1], 21, state="pending"), twin(rows[1], 22, body=None)]
    write_ledger(ledger, webhooks=rows)
    check_held(ledger, clock=lambda: NOW)
    assert {user: row["state_reason"] for user, row in changed(ledger).items()} == {
        1: None,
        **dict.fromkeys((3, 5, 6), NO_LONGER_REPORTABLE),
    }


def test_only_free_messages_of_an_unusable_endpoint_are_held(ledger: Warehouse) -> None:
    """And a lease that has run out ends with it: the row is nobody's."""
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
        pending(16, **held, state_reason=NO_LONGER_REPORTABLE),
        pending(17, **LEASED),
    ]
    write_ledger(ledger, webhooks=rows)
    outbox(ledger).hold_and_release({1: reason}, [])
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
        pending(13, **{**held, "state_reason": NO_LONGER_REPORTABLE}),
        pending(14, **held, body=None),
        pending(15, **held, next_attempt_at=AHEAD),
        pending(16, **held, event_type="course_enrollment"),
    ]
    write_ledger(ledger, webhooks=rows)
    outbox(ledger).hold_and_release({}, [1], unchecked=["course_enrollment"])
    assert {user: row["state"] for user, row in changed(ledger).items()} == {1: "pending"}


class Counts(Warehouse):
    """A session that remembers how many rows each statement has changed."""

    def execute(self, sql: str, *binds: object) -> int:
        changed = super().execute(sql, *binds)
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
    # Older ones that are no part of it, enough of each to fill a batch.
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


TYPE, OTHER = EventType.COURSE_COMPLETION, EventType.COURSE_ENROLLMENT
LEASES = f"select event_type, lease_owner from analytics.sync.{ACTIVATIONS} order by event_type"


def add_activation(
    ledger: Warehouse, event_type: EventType, owner: str | None, until: str | None
) -> None:
    ledger.execute(
        f"insert into analytics.sync.{ACTIVATIONS} (event_type, activated_at, recorded_at,"
        " lease_owner, lease_expires_at, row_id) select ?, sysdate(), sysdate(), ?,"
        " cast(? as timestamp_ntz), uuid_string()",
        event_type.value,
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
    """A session whose statements are all sent twice, as when the connector loses an answer."""

    def execute(self, sql: str, *binds: object) -> int:
        super().execute(sql, *binds)
        return super().execute(sql, *binds)


def test_a_lease_whose_first_answer_was_lost_is_taken_all_the_same(ledger: Warehouse) -> None:
    add_activation(ledger, TYPE, None, None)
    session = Repeats(ledger.settings, ledger._connection)  # pyright: ignore[reportPrivateUsage]
    with recording_lease(session, TYPE, run_id="run-1", clock=lambda: NOW) as lease:
        assert isinstance(lease, Granted)


def test_a_lease_that_was_lost_in_between_allows_no_recording(ledger: Warehouse) -> None:
    """By its own row, by another row of the type, and not by one of another type."""
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
    """And the activation of another type says nothing of this one."""
    create_marts(ledger, endpoints=[endpoint(1, "https://hooks.example.com/")])
    add_completions(ledger, [completion(1, PAST)])
    another = "11111111-2222-4333-8444-555555555555"
    rows = [
        pending(1, event_type=OTHER.value),
        pending(1, enterprise_customer_uuid=another),
        pending(1, courserun_key="course-v1:Other+C1+2026"),
        pending(2),
    ]
    write_ledger(ledger, webhooks=rows)
    add_activation(ledger, OTHER, None, None)
    ledger.execute(f"update analytics.sync.{ACTIVATIONS} set first_used_at = '2020-01-01'")
    since = NOW - timedelta(days=1)
    for recorded in (1, 0):
        found = enqueue(ledger, run_id="run-1", clock=lambda: NOW, activated_at=since)
        assert found == Enqueued(since, recorded, 0)


def test_of_rows_of_one_endpoint_the_one_with_the_highest_version_stays(ledger: Warehouse) -> None:
    """Three twins that differ in one thing each; what the id does not tell apart, the rest does."""
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
