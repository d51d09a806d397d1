"""One delivery run: its view of the endpoints, its batches, and what it learns on the way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sync.attempts import Attempt, finalize, ledger_entry
from sync.authorized import post_authorized
from sync.breaker import after_batch
from sync.bulkheads import run_apart
from sync.claims import Batch, Claimed, Claims
from sync.endpoint_states import EndpointStates
from sync.endpoints import load_endpoints, seen_by_endpoint, unusable_endpoints
from sync.faults import uncharge_own_network_fault
from sync.journal import Journal
from sync.markers import REPLAY_HEADER
from sync.oauth import TokenSource
from sync.outbox import Outbox
from sync.pacing import Pace
from sync.readiness import NotReady, readiness
from sync.retry import RetryPolicy, Signal, decide
from sync.routing import Endpoint
from sync.sender import DispatchReport, Sender
from sync.sending import request_headers
from sync.signing import SigningKey
from sync.steps import Step
from sync.warehouse import Warehouse

LEASE_MARGIN = timedelta(seconds=30)
"""Room between the last start of a send and the end of the lease, beyond the send's deadline.

A token may have to be fetched first, for which an attempt has 10 s more.
"""
REST_AFTER = 5
"""Failures in a row after which a batch lets an endpoint rest, before the ledger knows of them."""


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
        self._proven: set[int] = set()
        """Endpoints whose last answer in this run was a success."""
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
        self._outbox.hold_and_release(self.report.unusable, self._endpoints)
        self.claims = Claims(
            warehouse, sender.clock, sender.run_id, self._endpoints.values(), sender.hook
        )

    def send(self, batch: Batch) -> list[Attempt]:
        """Send one batch under its lease; each answer is journaled before anything else."""
        sender = self._sender
        stop = Stop(batch, self._endpoints, sender, self._proven)
        attempts: list[Attempt] = []
        untried: list[Claimed] = []
        for done, given_up in run_apart(
            batch.rows,
            key=lambda row: row.endpoint_id,
            work=self._attempt_and_record,
            threads=sender.limits.threads,
            per_key=sender.limits.per_endpoint,
            may_start=stop.may_start,
            is_proven=self._proven.__contains__,
        ):
            made = [attempt for _, attempt in done]
            stop.count(made)
            attempts += made
            untried += given_up
        judged = uncharge_own_network_fault(attempts, now=sender.clock())
        if judged is not None:
            self.report.is_own_network_down = True
            attempts = judged
            self._record(attempts)
        self._finish(attempts, untried, stop)
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

    def _record(self, attempts: Sequence[Attempt]) -> None:
        self._journal.record([ledger_entry(one, run_id=self._sender.run_id) for one in attempts])

    def _finish(self, attempts: list[Attempt], untried: list[Claimed], stop: Stop) -> None:
        """Write what came of a batch."""
        sender = self._sender
        entries = [ledger_entry(one, run_id=sender.run_id) for one in attempts]
        finalize(self._warehouse, entries, clock=sender.clock, hook=sender.hook)
        sender.hook(Step.FINALIZED)
        self._journal.forget(entries)
        sender.hook(Step.FORGOTTEN)
        seen = seen_by_endpoint(attempts)
        self._states.change(
            seen.keys() | stop.paces.keys(),
            lambda state: replace(
                (
                    after_batch(state, seen[state.endpoint_id], sender.clock())
                    if state.endpoint_id in seen
                    else state
                ),
                next_slot_at=stop.next_slot_at(state.endpoint_id, state.next_slot_at),
            ),
        )
        self._outbox.release(untried)
        sender.hook(Step.RELEASED)
        self.report.count(attempts)
        self.report.released += len(untried)

    def _attempt_and_record(self, claimed: Claimed) -> Attempt:
        """One request; its slot is free again only when the answer is on disk.

        So the answers that a crash can lose are never more than the slots.
        """
        attempt = self._attempt(claimed)
        self._sender.hook(Step.ANSWERED)
        self._record([attempt])
        self._sender.hook(Step.JOURNALED)
        return attempt

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


class Stop:
    """Says for each endpoint of a batch whether the next request may start, and when."""

    def __init__(
        self,
        batch: Batch,
        endpoints: Mapping[int, Endpoint],
        sender: Sender,
        proven: set[int],
    ) -> None:
        """``proven`` is kept up to date: which endpoints' last answer was a success."""
        self._clock = sender.clock
        self._proven = proven
        self._endpoints = endpoints
        self._lease_end = time.monotonic() + sender.limits.lease.total_seconds()
        self._failures_in_a_row: Counter[int] = Counter()
        self.paces = {key: Pace(one.spacing, one.first_at) for key, one in batch.grants.items()}

    def may_start(self, endpoint_id: int) -> float | None:
        """Seconds until the next request may start; None when no more may under this lease."""
        if self._failures_in_a_row[endpoint_id] >= REST_AFTER:
            return None
        deadline = self._endpoints[endpoint_id].timeout_seconds
        last_start = self._lease_end - deadline - LEASE_MARGIN.total_seconds()
        now = self._clock()
        wait = self.paces[endpoint_id].wait(now).total_seconds()
        if time.monotonic() + wait >= last_start:
            return None
        if wait == 0:
            self.paces[endpoint_id].take(now)
        return wait

    def count(self, attempts: Sequence[Attempt]) -> None:
        """Remember how the endpoints are doing."""
        for attempt in attempts:
            endpoint_id = attempt.claimed.endpoint_id
            if attempt.decision.signal is Signal.SUCCESS:
                self._failures_in_a_row[endpoint_id] = 0
                self._proven.add(endpoint_id)
            elif attempt.decision.signal is Signal.FAILURE:
                self._failures_in_a_row[endpoint_id] += 1
                self._proven.discard(endpoint_id)

    def next_slot_at(self, endpoint_id: int, known: datetime | None) -> datetime | None:
        """The later of what the ledger knows and what this batch has really used."""
        pace = self.paces.get(endpoint_id)
        moments = [one for one in (known, pace and pace.next_slot_at) if one is not None]
        return max(moments, default=None)
