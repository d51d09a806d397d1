"""Any order of detections, claims, responses, crashes and clock jumps keeps every guarantee.

Two workers share one outbox. The model tracks what the receiver saw, and which failures excuse a
repeated request; everything else is checked against the ledger after each step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from sync.delivery.build import build
from sync.delivery.endpoints import load_endpoints, standing
from sync.delivery.learning_time import LearningTimeClient
from sync.delivery.record import record
from sync.domain.circuit_breaker import after_batch, seen_by_endpoint
from sync.domain.destination import NotReady, Ready
from sync.domain.work import Attempt
from sync.ledger.attempts import settle, settle_logged
from sync.ledger.claims import Claims
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.outbox import Outbox, open_work
from sync.ledger.steps import nothing
from sync.ledger.tables import ensure_ledger
from sync.operations.replay import Replay, ReplayState
from sync.warehouse import Warehouse, open_warehouse
from tests.delivery.model_parts import ROTATION, START, Worker, attempt_of, is_verified
from tests.support.delivery import ACTIVATED_AT, FLAG_OFF, audit, complete, seed
from tests.support.examples import examples
from tests.support.ledger_rows import WITH_MESSAGES
from tests.support.operator import carry_out
from tests.support.scenarios import Scenarios

ENDPOINTS = 2
LEASE = timedelta(minutes=2)
WORKERS = st.sampled_from(["A", "B"])
FINAL = {"delivered", "dead"}
TABLES = ("webhook_outbox", "webhook_attempts", "endpoint_state", "activations", "replays")


class OutboxModel(RuleBasedStateMachine):
    """The rules, in an order that Hypothesis chooses."""

    warehouse: Warehouse

    def __init__(self) -> None:
        super().__init__()
        warehouse = self.warehouse
        for table in TABLES:
            warehouse.execute(f"delete from analytics.sync.{table}")
        warehouse.execute("delete from analytics.marts.completed_enrollments")
        warehouse.execute("update analytics.marts.webhook_endpoints set is_active = true")
        self.now = START
        self.outbox = Outbox(warehouse, lambda: self.now, "model")
        self.states = EndpointStates(warehouse)
        self.workers = {"A": Worker(), "B": Worker()}
        self.abandoned: list[Attempt] = []
        self.users = 0
        self.ids: set[str] = set()
        self.detected: set[str] = set()
        self.bodies: dict[str, str] = {}
        self.accepted: Counter[str] = Counter()
        self.excuses: Counter[str] = Counter()
        self.last: dict[str, str] = {}
        self.attempts = 0
        self.rotation = 0

    @rule(number=st.integers(1, 4))
    def learners_complete(self, number: int) -> None:
        users = range(self.users + 1, self.users + number + 1)
        self.users += number
        self.ids |= complete(self.warehouse, users, endpoints=ENDPOINTS)

    @rule()
    def record_and_build(self) -> None:
        record(self.warehouse, run_id="model", clock=lambda: self.now, activated_at=ACTIVATED_AT)
        self.detected |= self.ids
        client = LearningTimeClient(self.warehouse)
        build(self.warehouse, self.outbox, client, policy=FLAG_OFF, clock=lambda: self.now)

    @rule(name=WORKERS, limit=st.integers(1, 4))
    def claim(self, name: str, limit: int) -> None:
        """The start of a run: recover, hold and release, claim a batch."""
        worker = self.workers[name]
        if worker.untried or worker.made:
            return
        self.recover()
        configured = load_endpoints(self.warehouse).by_id
        in_use = open_work(self.warehouse).endpoint_ids
        states = self.states.load(in_use)
        unusable = {
            key: found.reason
            for key in in_use
            if isinstance(
                found := standing(
                    configured.get(key),
                    states[key],
                    readiness_of=lambda endpoint: Ready("", ""),
                    now=self.now,
                ),
                NotReady,
            )
        }
        usable = {key: configured[key] for key in in_use if key not in unusable}
        self.outbox.hold_and_release(unusable, usable.values())
        claims = Claims(self.warehouse, lambda: self.now, name, usable.values(), nothing)
        worker.untried = list(claims.next_batch(limit=limit, lease=LEASE).claims)
        worker.lease_ends_at = self.now + LEASE

    @rule(
        name=WORKERS,
        verdict=st.sampled_from(["200", "200", "500", "410", "silence", "lost", "ours"]),
        pause=st.sampled_from([timedelta(0), timedelta(0), LEASE * 2]),
    )
    def send(self, name: str, verdict: str, pause: timedelta) -> None:
        """One request; a worker may be paused between it and its response."""
        worker = self.workers[name]
        if not worker.untried or self.now >= worker.lease_ends_at:
            return
        claim = worker.untried.pop(0)
        assert self.bodies.setdefault(claim.webhook_id, claim.body.decode()) == (
            claim.body.decode()
        ), "the same bytes each time"
        assert is_verified(claim, self.rotation, self.now)
        started_at = self.now
        self.accepted[claim.webhook_id] += verdict in ("200", "lost")
        self.excuses[claim.webhook_id] += verdict == "lost"
        self.jump(pause)
        attempt = attempt_of(claim, verdict, run_id=name, started_at=started_at, now=self.now)
        if self.now >= worker.lease_ends_at:
            # The next worker to claim it does not know about this response.
            self.excuses[claim.webhook_id] += 1
        worker.made.append(attempt)

    @rule()
    def keys_are_rotated(self) -> None:
        """The next step: add the new key, switch the receiver to it, remove the old key."""
        self.rotation = min(self.rotation + 1, len(ROTATION) - 1)

    @rule(state=st.sampled_from([ReplayState.DEAD, ReplayState.DELIVERED]))
    def operator_replays(self, state: ReplayState) -> None:
        """Dead letters start over; delivered webhooks are sent once more."""
        made = carry_out(self.warehouse, lambda: self.now, Replay(state=state))
        rows = self.warehouse.rows(
            "select webhook_id, state from analytics.sync.webhook_outbox where replay_id = ?",
            made.request_id,
        )
        assert len(rows) == made.changed
        for row in rows:
            assert self.last[row["webhook_id"]] == state
            self.excuses[row["webhook_id"]] += state is ReplayState.DELIVERED
            self.last[row["webhook_id"]] = row["state"]

    @rule(name=WORKERS)
    def finish(self, name: str) -> None:
        """The end of a batch: settle, forget, record the endpoints' health, release."""
        worker = self.workers[name]
        settle(self.warehouse, worker.made, clock=lambda: self.now)
        seen = seen_by_endpoint(worker.made)
        self.states.change(
            seen, lambda state: after_batch(state, seen[state.endpoint_id], self.now)
        )
        self.outbox.release(worker.untried)
        self.workers[name] = Worker()

    @rule(name=WORKERS)
    def finish_twice(self, name: str) -> None:
        """The outcome was unknown, so the attempt is repeated."""
        attempts = list(self.workers[name].made)
        self.finish(name)
        settle(self.warehouse, attempts, clock=lambda: self.now)

    @rule(name=WORKERS, is_disk_kept=st.booleans())
    def crash(self, name: str, is_disk_kept: bool) -> None:
        """Memory is lost; the journal only with the disk."""
        worker = self.workers[name]
        if is_disk_kept:
            self.abandoned += worker.made
        else:
            self.excuses.update(one.claim.webhook_id for one in worker.made)
        self.workers[name] = Worker()

    @rule()
    def recover(self) -> None:
        """The first thing a new run does."""
        settle(self.warehouse, self.abandoned, clock=lambda: self.now)
        self.abandoned.clear()
        since = open_work(self.warehouse).leased_since
        if since is not None:
            settle_logged(self.warehouse, leased_since=since, clock=lambda: self.now)

    @rule(span=st.sampled_from([5, 90, 150, 700, 7_300, 40_000]))
    def time_passes(self, span: int) -> None:
        self.jump(timedelta(seconds=span))

    @rule(endpoint_id=st.integers(1, ENDPOINTS))
    def endpoint_flaps(self, endpoint_id: int) -> None:
        """Its owner switches it off or on; an operator re-enables it after a 410."""
        self.warehouse.execute(
            "update analytics.marts.webhook_endpoints set is_active = not is_active"
            " where endpoint_id = ?",
            endpoint_id,
        )
        self.warehouse.execute(
            "delete from analytics.sync.endpoint_state where endpoint_id = ?", endpoint_id
        )

    @invariant()
    def the_ledger_holds_what_it_promises(self) -> None:
        assert audit(self.warehouse, is_at_rest=False) == []
        rows = self.warehouse.rows(
            "select webhook_id, state, body, attempt_count, fence, lease_owner, lease_expires_at,"
            f" attempts.n from {WITH_MESSAGES} cross join"
            " (select count(*) as n from analytics.sync.webhook_attempts) as attempts"
        )
        assert {row["webhook_id"] for row in rows} == self.detected
        for row in rows:
            self.check_row(row)
        if rows:
            assert rows[0]["n"] >= self.attempts, "attempts are only appended"
            self.attempts = rows[0]["n"]
        for webhook_id, times in self.accepted.items():
            assert times <= 1 + self.excuses[webhook_id], f"{webhook_id} was repeated"

    def check_row(self, row: dict[str, Any]) -> None:
        webhook_id, state, before = (
            row["webhook_id"],
            row["state"],
            self.last.get(row["webhook_id"]),
        )
        if before in ("delivered", "suppressed"):
            assert state == before, "what is delivered or suppressed stays so"
        if before == "dead":
            assert state in ("dead", "delivered"), "a dead row only rises"
        self.last[webhook_id] = state
        if state == "delivered":
            assert self.accepted[webhook_id], "nobody accepted it"
        if row["body"] is not None:
            assert self.bodies.setdefault(webhook_id, row["body"]) == row["body"]
        assert (row["lease_owner"] is None) == (row["lease_expires_at"] is None)

    def teardown(self) -> None:
        """After everything is repaired, all but dead letters are delivered within a few runs."""
        for name in self.workers:
            self.crash(name, is_disk_kept=True)
        self.warehouse.execute("update analytics.marts.webhook_endpoints set is_active = true")
        self.record_and_build()
        for _ in range(2 + self.users):
            self.jump(timedelta(hours=13))
            self.warehouse.execute("delete from analytics.sync.endpoint_state")
            self.claim("A", limit=1_000)
            if not self.workers["A"].untried:
                break
            while self.workers["A"].untried:
                self.send("A", "200", timedelta(0))
            self.finish("A")
        self.the_ledger_holds_what_it_promises()
        assert audit(self.warehouse, is_at_rest=True) == []
        assert set(self.last.values()) <= FINAL, "something is stuck"

    def jump(self, span: timedelta) -> None:
        """Time passes; responses known only to a live worker may lose their lease."""
        before, self.now = self.now, self.now + span
        for worker in self.workers.values():
            if before < worker.lease_ends_at <= self.now:
                self.excuses.update(one.claim.webhook_id for one in worker.made)


@pytest.fixture(scope="module")
def model_warehouse(scenarios: Scenarios) -> Iterator[Warehouse]:
    scenarios.stand("ledger", ensure_ledger)
    with open_warehouse(scenarios.settings, purpose="tests") as warehouse:
        seed(warehouse, [f"https://hooks.example.com/{n}" for n in range(ENDPOINTS)])
        yield warehouse


@pytest.mark.hypothesis
def test_no_order_of_events_breaks_the_protocol(model_warehouse: Warehouse) -> None:
    class Bound(OutboxModel):
        warehouse = model_warehouse

    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=examples(4, 60),
            stateful_step_count=examples(15, 25),
            # Each step costs statements, so failures are not shrunk.
            phases=[Phase.generate],
            database=None,
        ),
    )
