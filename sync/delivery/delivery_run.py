"""One delivery run: its view of the endpoints, its batches, and what it learns on the way."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sync.delivery.admission import Admission, Row
from sync.delivery.current_facts import check_held
from sync.delivery.endpoints import load_endpoints, seen_by_endpoint, unusable_endpoints
from sync.delivery.faults import judge_by_evidence, network_worked_at
from sync.delivery.readiness import NotReady, readiness
from sync.delivery.sender import DispatchReport, Sender
from sync.delivery.stop import Stop
from sync.domain.circuit_breaker import EndpointState, after_batch
from sync.domain.endpoint import Endpoint
from sync.domain.responses import Failure
from sync.domain.retry import Held, RetryPolicy, decide
from sync.domain.states import Reason
from sync.http.headers import REPLAY_HEADER, request_headers
from sync.http.oauth import TokenSource, post_authorized
from sync.http.signing import SigningKey
from sync.ledger.attempts import Attempt, finalize, ledger_entry
from sync.ledger.claims import Claimed, Claims
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.journal import Journal, Then
from sync.ledger.outbox import Outbox
from sync.ledger.steps import Step
from sync.warehouse import Warehouse


class Run:
    """One run's view of the endpoints, and what it has learned about them."""

    def __init__(self, warehouse: Warehouse, sender: Sender, journal: Journal, stop: Stop) -> None:
        self._warehouse = warehouse
        self._sender = sender
        self._stop = stop
        self._journal = journal
        self._outbox = Outbox(warehouse, sender.clock, sender.run_id)
        self._states = EndpointStates(warehouse)
        self._tokens = TokenSource(sender.poster, sender.secrets)
        self._keys: dict[int, tuple[SigningKey, ...]] = {}
        self._network_worked_at: datetime | None = None
        self.report = DispatchReport()
        configured = load_endpoints(warehouse).by_id
        in_use = self._outbox.endpoints_in_use()
        states = self._known = self._states.load(in_use)
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
        self._claimed_at = sender.clock()
        self._held: dict[int, Reason] = {}
        """Endpoints that turned out during the run to be disabled, or to be no target; why."""
        self._postponed: set[int] = set()
        """Endpoints that sender errors keep from being tried again in this run."""
        self.admission = Admission(self._endpoints, states.values(), sender.clock, stop)

    def claim(self, held: Mapping[int, int]) -> list[Row]:
        """The next batch, under lease; ``held`` as for ``Claims.next_batch``."""
        limits = self._sender.limits
        self._claimed_at = self._sender.clock()
        lease_end = time.monotonic() + limits.lease.total_seconds()
        batch = self._claims.next_batch(limit=limits.batch_size, lease=limits.lease, held=held)
        if self._claims.disabled:
            self._hold(dict.fromkeys(self._claims.disabled, Reason.ENDPOINT_DISABLED))
        return self.admission.board(batch, lease_end=lease_end)

    def record(self, attempts: Sequence[Attempt], untried: Iterable[Claimed]) -> Sequence[Attempt]:
        """Write what came of requests to the ledger, and give back rows that were not tried.

        The attempts as they were recorded: not charged, where the fault was ours, and without
        those that sent nothing because their endpoint cannot be sent to.
        """
        refused = [one for one in attempts if isinstance(one.decision.outcome, Held)]
        attempts = [one for one in attempts if not isinstance(one.decision.outcome, Held)]
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
        self._finish(attempts, [*untried, *(one.claimed for one in refused)], refused)
        return attempts

    def linger(self, seconds_left: float) -> bool:
        """Wait for the next due row if it comes soon; whether there is one to claim now.

        A row that was due at the last claim, which did not get it, is not waited for.
        """
        clock = self._sender.clock
        due_at = self._outbox.next_due_at(self._claims.open_endpoints)
        self.report.next_due_at = due_at
        if due_at is None or due_at <= self._claimed_at:
            return False
        wait = max((due_at - clock()).total_seconds(), 0.05)
        if wait > min(self._sender.limits.linger.total_seconds(), seconds_left):
            return False
        self._stop.sleep(wait)
        return True

    def give_back(self) -> None:
        """Record all that the journal holds, and free every row that this run still has.

        It does not matter at which point the run was interrupted: finalizing twice is harmless.
        """
        entries = self._journal.entries()
        finalize(self._warehouse, entries, clock=self._sender.clock, hook=self._sender.hook)
        self._journal.forget(entries)
        self._outbox.release_all()

    def look_ahead(self) -> None:
        """Note for the report when there is something to send again."""
        if self.report.is_own_network_down or self._postponed:
            waiting = self._endpoints.keys() - self._held.keys()
            self.report.next_due_at = self._outbox.next_due_at(waiting)

    def _journal_all(self, attempts: Sequence[Attempt]) -> None:
        self._journal.record([ledger_entry(one, run_id=self._sender.run_id) for one in attempts])

    def _finish(
        self,
        attempts: Sequence[Attempt],
        untried: Sequence[Claimed],
        refused: Sequence[Attempt],
    ) -> None:
        sender = self._sender
        entries = [ledger_entry(one, run_id=sender.run_id) for one in attempts]
        finalize(self._warehouse, entries, clock=sender.clock, hook=sender.hook)
        sender.hook(Step.FINALIZED)
        self._journal.forget(entries)
        sender.hook(Step.FORGOTTEN)
        self._outbox.release(untried)
        sender.hook(Step.RELEASED)
        disabled = self._change_states(attempts, refused)
        touched = {one.endpoint_id for one in untried}
        touched |= {one.claimed.endpoint_id for one in attempts}
        self._close(disabled, refused, touched=touched)
        self.report.count(attempts)
        self.report.released += len(untried)

    def _change_states(self, attempts: Sequence[Attempt], refused: Sequence[Attempt]) -> set[int]:
        """Note the endpoints' health, and the slots that were really used; who is disabled now."""
        seen = seen_by_endpoint(attempts)
        now = self._sender.clock()
        targets = {
            one.claimed.endpoint_id: self._target_of(self._endpoints[one.claimed.endpoint_id])
            for one in refused
            if one.reason == Reason.INVALID_TARGET
        }
        disabled: set[int] = set()

        def rule(state: EndpointState) -> EndpointState:
            endpoint_id = state.endpoint_id
            after = after_batch(state, seen[endpoint_id], now) if endpoint_id in seen else state
            if endpoint_id in targets:
                after = replace(after, refused_target=targets[endpoint_id], refused_at=now)
            if after.disabled_at is not None:
                disabled.add(endpoint_id)
            slot_at = self.admission.next_slot_at(endpoint_id, state.next_slot_at)
            return replace(after, next_slot_at=slot_at)

        self._states.change({one.claimed.endpoint_id for one in attempts} | targets.keys(), rule)
        return disabled

    def _close(
        self, disabled: Iterable[int], refused: Sequence[Attempt], *, touched: set[int]
    ) -> None:
        """Claim nothing more for endpoints that cannot be sent to, and hold their rows.

        ``touched`` have rows whose lease ended just now, which an earlier hold has missed.
        """
        found = dict.fromkeys(disabled, Reason.ENDPOINT_DISABLED)
        for one in refused:
            endpoint_id = one.claimed.endpoint_id
            if one.reason is not None:
                found[endpoint_id] = one.reason
            if isinstance(one.result, Failure):
                self.report.problems[endpoint_id] = one.result.detail
        found |= {key: reason for key, reason in self._held.items() if key in touched}
        if found:
            self._hold(found)
        for endpoint_id in self._claims.open_endpoints:
            if self.admission.fails_on_our_side(endpoint_id):
                self._claims.close(endpoint_id)
                self._postponed.add(endpoint_id)

    def _hold(self, reasons: Mapping[int, Reason]) -> None:
        """Hold what waits of endpoints, and claim no more of them."""
        self._held |= reasons
        self.report.unusable |= reasons
        for endpoint_id in reasons:
            self._claims.close(endpoint_id)
        self._outbox.hold_and_release(reasons, ())

    def attempt(self, row: Row) -> Attempt:
        """One request."""
        attempt = self._attempt(row.claimed)
        self._sender.hook(Step.ANSWERED)
        return attempt

    def keep(self, attempt: Attempt, then: Then) -> None:
        """Have an answer written to disk; only then may anything else be done with it."""
        if isinstance(attempt.decision.outcome, Held):
            # Nothing was sent, so nothing can be lost.
            then(None)
            return
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

    def _problem_of(self, endpoint: Endpoint) -> Reason | None:
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
        state = self._known[endpoint.endpoint_id]
        if state.is_refused(self._target_of(endpoint), self._sender.clock()):
            self.report.problems[endpoint.endpoint_id] = (
                "an address of its host is refused by the address rules; it is looked at again "
                "once its settings have changed, or hourly"
            )
            return Reason.INVALID_TARGET
        self._keys[endpoint.endpoint_id] = found.keys
        return None

    def _target_of(self, endpoint: Endpoint) -> str:
        """A fingerprint of all settings by which the address rules refuse or pass its target."""
        policy = self._sender.policy
        rules = [sorted(policy.ports), sorted(policy.development_targets)]
        text = json.dumps([endpoint.url, endpoint.token_url, *rules], default=str)
        return hashlib.sha256(text.encode()).hexdigest()
