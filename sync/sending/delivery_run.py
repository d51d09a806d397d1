"""One delivery run: its view of the endpoints, its batches, and what it learns on the way."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sync.authentication.authorized import post_authorized
from sync.authentication.oauth import TokenSource
from sync.contract.headers import request_headers
from sync.contract.markers import REPLAY_HEADER
from sync.contract.routing import Endpoint
from sync.contract.signing import SigningKey
from sync.detection.current_facts import check_held
from sync.ledger.attempts import Attempt, finalize, ledger_entry
from sync.ledger.claims import Claimed, Claims
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.journal import Journal, Then
from sync.ledger.outbox import Outbox
from sync.ledger.steps import Step
from sync.messages.endpoints import load_endpoints, seen_by_endpoint, unusable_endpoints
from sync.policies.breaker import after_batch
from sync.policies.retry import RetryPolicy, decide
from sync.sending.admission import Admission, Row
from sync.sending.faults import judge_by_evidence, network_worked_at
from sync.sending.readiness import NotReady, readiness
from sync.sending.sender import DispatchReport, Sender
from sync.warehouse import Warehouse


class Run:
    """One run's view of the endpoints, and what it has learned about them."""

    def __init__(self, warehouse: Warehouse, sender: Sender, journal: Journal) -> None:
        self._warehouse = warehouse
        self._sender = sender
        self._journal = journal
        self._outbox = Outbox(warehouse, sender.clock, sender.run_id)
        self._states = EndpointStates(warehouse)
        self._tokens = TokenSource(sender.poster, sender.secrets)
        self._keys: dict[int, tuple[SigningKey, ...]] = {}
        self._network_worked_at: datetime | None = None
        self.report = DispatchReport()
        configured = load_endpoints(warehouse).by_id
        in_use = self._outbox.endpoints_in_use()
        states = self._states.load(in_use)
        self.report.unusable = unusable_endpoints(
            in_use,
            configured=configured,
            disabled=[key for key, state in states.items() if state.disabled_at is not None],
            problem_of=self._problem_of,
        )
        self._endpoints = {
            key: configured[key] for key in in_use if key not in self.report.unusable
        }
        unchecked = check_held(warehouse, clock=sender.clock)
        self.report.unchecked = [str(one) for one in unchecked.values()]
        self._outbox.hold_and_release(self.report.unusable, self._endpoints, unchecked=unchecked)
        self._claims = Claims(
            warehouse, sender.clock, sender.run_id, self._endpoints.values(), sender.hook
        )
        self.admission = Admission(self._endpoints, states.values(), sender.clock)

    def claim(self, held: Mapping[int, int]) -> list[Row]:
        """The next batch, under lease; ``held`` as for ``Claims.next_batch``."""
        limits = self._sender.limits
        lease_end = time.monotonic() + limits.lease.total_seconds()
        batch = self._claims.next_batch(limit=limits.batch_size, lease=limits.lease, held=held)
        return self.admission.board(batch, lease_end=lease_end)

    def record(self, attempts: Sequence[Attempt], untried: Iterable[Claimed]) -> Sequence[Attempt]:
        """Write what came of requests to the ledger, and give back rows that were not tried.

        The attempts as they were recorded: not charged, where the fault was ours.
        """
        judged = judge_by_evidence(
            attempts,
            now=self._sender.clock(),
            worked_at=self._network_worked_at,
            canary=self._sender.canary,
        )
        attempts = judged.attempts
        self.report.is_own_network_down |= judged.is_own_network_down
        if judged.is_changed:
            self._journal_all(attempts)
        self._network_worked_at = network_worked_at(attempts, self._network_worked_at)
        self._finish(attempts, list(untried))
        return attempts

    def linger(self, seconds_left: float) -> bool:
        """Wait for the next due row if it comes soon; whether there is one to claim now."""
        clock = self._sender.clock
        due_at = self._outbox.next_due_at(self._endpoints)
        if due_at is None:
            return False
        wait = max((due_at - clock()).total_seconds(), 0.05)
        if wait > min(self._sender.limits.linger.total_seconds(), seconds_left):
            return False
        time.sleep(wait)
        return True

    def _journal_all(self, attempts: Sequence[Attempt]) -> None:
        self._journal.record([ledger_entry(one, run_id=self._sender.run_id) for one in attempts])

    def _finish(self, attempts: Sequence[Attempt], untried: Sequence[Claimed]) -> None:
        sender = self._sender
        entries = [ledger_entry(one, run_id=sender.run_id) for one in attempts]
        finalize(self._warehouse, entries, clock=sender.clock, hook=sender.hook)
        sender.hook(Step.FINALIZED)
        self._journal.forget(entries)
        sender.hook(Step.FORGOTTEN)
        self._outbox.release(untried)
        sender.hook(Step.RELEASED)
        self._change_states(attempts)
        self.report.count(attempts)
        self.report.released += len(untried)

    def _change_states(self, attempts: Sequence[Attempt]) -> None:
        """Note the endpoints' health, and the slots that were really used."""
        seen = seen_by_endpoint(attempts)
        now = self._sender.clock()
        self._states.change(
            {one.claimed.endpoint_id for one in attempts},
            lambda state: replace(
                (
                    after_batch(state, seen[state.endpoint_id], now)
                    if state.endpoint_id in seen
                    else state
                ),
                next_slot_at=self.admission.next_slot_at(state.endpoint_id, state.next_slot_at),
            ),
        )

    def attempt(self, row: Row) -> Attempt:
        """One request."""
        attempt = self._attempt(row.claimed)
        self._sender.hook(Step.ANSWERED)
        return attempt

    def keep(self, attempt: Attempt, then: Then) -> None:
        """Have an answer written to disk; only then may anything else be done with it."""
        self._journal.submit(ledger_entry(attempt, run_id=self._sender.run_id), then)

    def arrive(self, attempt: Attempt) -> None:
        """The answer is on disk."""
        self._sender.hook(Step.JOURNALED)
        self.admission.arrive(attempt)

    def _attempt(self, claimed: Claimed) -> Attempt:
        """One request, signed at the last moment with the time of this attempt."""
        endpoint = self._endpoints[claimed.endpoint_id]
        keys = self._keys[claimed.endpoint_id]
        started_at = self._sender.clock()
        result = post_authorized(
            self._sender.poster,
            self._tokens,
            endpoint,
            body=claimed.body,
            # Called anew for the second try after a 401, so that its signature is of that time.
            headers=lambda: request_headers(
                webhook_id=claimed.webhook_id,
                body=claimed.body,
                keys=keys,
                clock=self._sender.clock,
                markers=[REPLAY_HEADER] if claimed.replay_id is not None else [],
            ),
            deadline_seconds=endpoint.timeout_seconds,
        )
        return Attempt(
            claimed=claimed,
            result=result,
            decision=decide(
                result,
                webhook_id=claimed.webhook_id,
                attempt_number=claimed.attempt_count + 1,
                now=self._sender.clock(),
                policy=RetryPolicy(final_statuses=endpoint.final_status_codes),
            ),
            started_at=started_at,
            signing_key_ids=" ".join(key.key_id for key in keys),
        )

    def _problem_of(self, endpoint: Endpoint) -> str | None:
        """What keeps an endpoint from being sent to; its keys are read once a run."""
        found = readiness(
            endpoint,
            policy=self._sender.policy,
            secrets=self._sender.secrets,
            tokens=self._tokens,
        )
        if isinstance(found, NotReady):
            self.report.problems[endpoint.endpoint_id] = found.problem
            return found.reason
        self._keys[endpoint.endpoint_id] = found.keys
        return None
