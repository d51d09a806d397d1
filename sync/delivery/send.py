"""A delivery run: send every webhook that is due. Every way to send one uses this module.

Recover journals of this warehouse, hold and release, claim, send and journal, settle by fence, stop
when nothing can be sent now. The scheduler's threads send while the run's own thread uses the
warehouse: it claims the next batch before the last one has run out, and settles attempts while
others are made. Nothing waits for the end of a batch. Webhooks that are paused during the run are
given back at the next claim, at the latest after ``SETTLE_AFTER``.
"""

from __future__ import annotations

import logging
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sync.clock import Clock
from sync.delivery.attribution import attribute, network_worked_at
from sync.delivery.endpoints import Endpoints, load_endpoints, standing
from sync.delivery.events import check_held
from sync.delivery.scheduler import Limits, Scheduler
from sync.delivery.stop import Stop, stop_on_signals
from sync.domain.circuit_breaker import (
    EndpointState,
    after_batch,
    resumed,
    seen_by_endpoint,
)
from sync.domain.destination import Destination, NotReady, Ready
from sync.domain.responses import Failure
from sync.domain.retry import follow_up
from sync.domain.states import Reason
from sync.domain.work import Attempt, Claim
from sync.ledger.attempts import leased_here, settle, settle_logged
from sync.ledger.claims import Claims
from sync.ledger.endpoint_states import EndpointStates
from sync.ledger.identity import LedgerIdentity, ledger_identity
from sync.ledger.journal import (
    ForeignJournal,
    Journal,
    abandoned_journals,
    foreign,
    needed_bytes,
    open_journal,
)
from sync.ledger.outbox import OpenWork, Outbox, open_work
from sync.ledger.steps import Hook, Step, nothing
from sync.warehouse import Warehouse

SAMPLE = 50
OnBatch = Callable[[Sequence[Attempt]], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sender:
    """What a run needs besides the warehouse."""

    run_id: str
    clock: Clock
    destination: Destination
    journal_directory: Path
    limits: Limits = field(default_factory=Limits)
    hook: Hook = nothing


@dataclass
class SendReport:
    """What one run sent; it stays small however many webhooks that is."""

    began_at: datetime
    outcomes: Counter[str] = field(default_factory=Counter)
    """Attempts by outcome: delivered, retry, dead."""
    durations_ms: array[int] = field(default_factory=lambda: array("Q"))
    """How long each attempt took."""
    sample: list[Attempt] = field(default_factory=list)
    """Up to ``SAMPLE`` attempts; failures first, since readers look for those."""
    unreadable_retry_after: set[int] = field(default_factory=set)
    """Endpoints that sent an unreadable ``Retry-After`` header; it was ignored."""
    recovered: int = 0
    """Attempts of an earlier, dead run that the ledger did not have."""
    foreign_journals: list[ForeignJournal] = field(default_factory=list)
    """Journals of other ledgers in the same directory; they were left unchanged."""
    released: int = 0
    """Claimed and given back untried: the endpoint's circuit breaker is open or time was up."""
    unusable: dict[int, Reason] = field(default_factory=dict)
    """Endpoints whose webhooks are held, with the reason."""
    problems: dict[int, str] = field(default_factory=dict)
    """For those endpoints, the setting to fix, if there is one."""
    unchecked: list[str] = field(default_factory=list)
    """Why messages are held or not released, where the cause is not their endpoint: a mart that
    cannot be read, a format whose file is gone."""
    next_due_at: datetime | None = None
    """When the next webhook is due; None when nothing waits to be sent."""
    was_idle: bool = False
    """Whether nothing was open when the run started, so nothing is left."""
    is_own_network_down: bool = False
    """No endpoint could be reached: a sender error, nothing was charged, the run stopped."""

    def count(self, attempts: Sequence[Attempt]) -> None:
        """Add the attempts of a batch."""
        self.outcomes.update(one.outcome for one in attempts)
        self.durations_ms.extend(one.result.duration_ms for one in attempts)
        self.unreadable_retry_after.update(
            one.claim.endpoint_id for one in attempts if one.follow_up.is_retry_after_unreadable
        )
        self.sample = sorted(
            [*self.sample, *attempts], key=lambda one: (one.outcome == "delivered", one.started_at)
        )[:SAMPLE]


def send_due(
    warehouse: Warehouse, sender: Sender, *, on_batch: OnBatch = lambda attempts: None
) -> SendReport:
    """Send every due webhook, batch by batch, until none is due or the time budget is spent.

    Responses that a dead run received are settled first, so their webhooks are not sent again. A
    crash between two batches loses nothing and repeats nothing; a crash inside a batch repeats at
    most the requests in flight and the attempts not yet on disk (``Limits.unwritten``), under the
    same ids, once the lease has run out.

    After SIGINT or SIGTERM no request is started, untried claims are given back, running requests
    may finish and are recorded; then the signal has its usual effect.

    Raises:
        StatementFailed: the ledger cannot be written, so sending stops; attempts stay journaled.
        JournalFailed: the journal cannot be written, so nothing more is sent.
    """
    with stop_on_signals() as stop:
        ledger = ledger_identity(warehouse)
        directory, hook = sender.journal_directory, sender.hook
        recovered = recover_journals(warehouse, ledger, directory, clock=sender.clock, hook=hook)
        if recovered.attempts:
            hook(Step.RECOVERED)
        room = needed_bytes(sender.limits.batch_size)
        with open_journal(directory, ledger, room=room) as journal:
            run = _Run(warehouse, sender, recovered.work, journal, stop, on_batch)
            run.report.recovered = recovered.attempts
            run.report.foreign_journals = recovered.foreign
            run.report.was_idle = not recovered.work.states
            run.send()
    return run.report


@dataclass(frozen=True)
class Recovered:
    """What was found in the journals of dead processes."""

    attempts: int
    """Attempts of this ledger, now settled in it."""
    foreign: list[ForeignJournal]
    """Journals that were not written for this ledger, or do not name one: left unchanged."""
    work: OpenWork
    """What was open before the last of it was settled."""


def recover_journals(
    warehouse: Warehouse,
    ledger: LedgerIdentity,
    directory: Path,
    *,
    clock: Clock,
    hook: Hook = nothing,
) -> Recovered:
    """Settle the responses that dead runs on this machine received for this ledger."""
    found = 0
    left: list[ForeignJournal] = []
    with abandoned_journals(directory) as journals:
        for journal in journals:
            mark = journal.mark
            if mark is not None and not ledger.is_meant_by(mark):
                # Not read: whoever shares the directory may run another version.
                left.append(foreign(journal))
                journal.leave()
                continue
            attempts = journal.attempts()
            own = attempts if mark is not None else leased_here(warehouse, attempts)
            settle(warehouse, own, clock=clock, hook=hook)
            found += len(own)
            if len(own) == len(attempts):
                journal.discard()
                continue
            journal.forget(own)
            left.append(foreign(journal))
            journal.leave()
    work = open_work(warehouse)
    if work.leased_since is not None:
        settle_logged(warehouse, leased_since=work.leased_since, clock=clock)
    return Recovered(found, [one for one in left if one.attempts], work)


class _Run:
    """One run: its view of the endpoints, and what it has learned about them."""

    def __init__(
        self,
        warehouse: Warehouse,
        sender: Sender,
        work: OpenWork,
        journal: Journal,
        stop: Stop,
        on_batch: OnBatch,
    ) -> None:
        """Find out which endpoints can receive; hold and release webhooks accordingly."""
        self._warehouse = warehouse
        self._sender = sender
        self._clock, self._limits, self._hook = sender.clock, sender.limits, sender.hook
        self._journal = journal
        self._stop = stop
        self._on_batch = on_batch
        self._outbox = Outbox(warehouse, sender.clock, sender.run_id)
        self._states = EndpointStates(warehouse)
        self._ready: dict[int, Ready] = {}
        self._network_worked_at: datetime | None = None
        self._held: dict[int, Reason] = {}
        """Endpoints found during the run to be disabled or not a valid target; with the reason."""
        self._postponed: set[int] = set()
        """Endpoints that are not tried again in this run because of sender errors."""
        self.report = SendReport(sender.clock())
        loaded = load_endpoints(warehouse) if work.endpoint_ids else Endpoints({}, {})
        configured = loaded.by_id
        states = self._states.load(work.endpoint_ids)
        for key in sorted(work.endpoint_ids):
            found = standing(
                configured.get(key),
                states[key],
                readiness_of=sender.destination.readiness,
                now=sender.clock(),
                problem=loaded.problems.get(key),
            )
            match found:
                case Ready():
                    self._ready[key] = found
                case NotReady(reason, problem):
                    self.report.unusable[key] = reason
                    self.report.problems[key] = problem
        self._endpoints = {key: configured[key] for key in self._ready}
        unchecked = check_held(warehouse, work.held_types, clock=sender.clock)
        self.report.unchecked = [str(one) for one in unchecked.values()]
        unknown = {
            one: problem
            for one in sorted(work.payload_formats)
            if one[0] in self._ready and (problem := loaded.formats.problem_of(one[1]))
        }
        self.report.unchecked += [f"endpoint {key}: {one}" for (key, _), one in unknown.items()]
        self._outbox.hold_and_release(
            self.report.unusable,
            self._endpoints.values(),
            unchecked=unchecked,
            unknown_formats=unknown,
        )
        self._claims = Claims(
            warehouse, sender.clock, sender.run_id, self._endpoints.values(), sender.hook
        )
        self._claimed_at = sender.clock()
        self._scheduler = Scheduler(
            self._endpoints.values(),
            states,
            sender.limits,
            send=self._send_one,
            journal=self._journal_one,
            clock=sender.clock,
            stop=stop,
        )

    def send(self) -> None:
        """Send until nothing is due, the time is up, a stop is requested, or our own network is
        down. Then waiting claims are given back immediately, and running requests may finish."""
        end = self._clock() + self._limits.time_budget
        with self._scheduler:
            try:
                self._send_until(end)
            except Exception:
                raise
            except BaseException:
                # The Snowflake driver turns Ctrl-C into an exception in the middle of a statement.
                self._give_back(end)
                raise
        if self.report.is_own_network_down or self._postponed:
            waiting = self._endpoints.keys() - self._held.keys() - self._claims.paused
            self.report.next_due_at = self._outbox.next_due_at(waiting)

    def _send_until(self, end: datetime) -> None:
        scheduler = self._scheduler
        while True:
            if not (is_over := self._is_over(end)):
                self._claim()
            if scheduler.is_spent:
                if is_over or not self._linger(end):
                    return
                continue
            scheduler.wait(end)
            # Before collecting, so that returned claims are settled with the last attempts.
            if self._is_over(end):
                scheduler.stop()
            self._settle(*scheduler.collect())

    def _is_over(self, end: datetime) -> bool:
        return self._clock() >= end or self._stop.is_asked or self.report.is_own_network_down

    def _claim(self) -> None:
        """Claim the next batch and hand it to the scheduler."""
        self._claimed_at = self._clock()
        batch = self._claims.next_batch(
            limit=self._limits.batch_size,
            lease=self._limits.lease,
            waiting=self._scheduler.waiting(),
        )
        self._scheduler.give_up(self._claims.paused)
        if self._claims.disabled:
            self._hold(dict.fromkeys(self._claims.disabled, Reason.ENDPOINT_DISABLED))
        self._scheduler.add(batch)

    def _linger(self, end: datetime) -> bool:
        """Wait for the next row if it is due soon; returns whether there is one to claim now.

        It does not wait for a row that was due at the last claim but was not claimed.
        """
        due_at = self._outbox.next_due_at(self._claims.open_endpoints)
        self.report.next_due_at = due_at
        if due_at is None or due_at <= self._claimed_at:
            return False
        now = self._clock()
        wait = max((due_at - now).total_seconds(), 0.05)
        if wait > min(self._limits.linger, end - now).total_seconds():
            return False
        self._stop.sleep(wait)
        return True

    # In the scheduler's threads.

    def _send_one(self, claim: Claim) -> Attempt:
        endpoint = self._endpoints[claim.endpoint_id]
        started_at = self._clock()
        result = self._sender.destination.send(claim, endpoint, clock=self._clock)
        attempt = Attempt(
            claim=claim,
            run_id=self._sender.run_id,
            result=result,
            follow_up=follow_up(
                result,
                webhook_id=claim.webhook_id,
                attempt_number=claim.attempt_number,
                now=self._clock(),
                success_statuses=endpoint.successes_with(claim.payload_format),
                final_statuses=endpoint.final_status_codes,
            ),
            started_at=started_at,
            signing_key_ids=self._ready[claim.endpoint_id].signing_key_ids,
        )
        self._hook(Step.RESPONDED)
        return attempt

    def _journal_one(self, attempt: Attempt) -> None:
        """Write it to disk; only then may anything else be done with it."""
        if attempt.is_sent:
            self._journal.record([attempt])
        self._hook(Step.JOURNALED)

    # Settling.

    def _settle(self, attempts: Sequence[Attempt], untried: Sequence[Claim]) -> None:
        """Write the results of requests to the ledger, and give back what was not tried.

        Sender errors are not charged. Where nothing was sent, because the endpoint cannot receive,
        there was no attempt.
        """
        if not attempts and not untried:
            return
        refused = [one for one in attempts if not one.is_sent]
        made = attribute(
            [one for one in attempts if one.is_sent],
            now=self._clock(),
            worked_at=self._network_worked_at,
            reaches_network=self._sender.destination.reaches_network,
        )
        self.report.is_own_network_down |= made.is_own_network_down
        if made.is_changed:
            self._journal.record(made.attempts)
        self._network_worked_at = network_worked_at(made.attempts, self._network_worked_at)
        settle(self._warehouse, made.attempts, clock=self._clock, hook=self._hook)
        self._hook(Step.SETTLED)
        self._journal.forget(made.attempts)
        self._hook(Step.FORGOTTEN)
        released = [*untried, *(one.claim for one in refused)]
        self._outbox.release(released)
        self._hook(Step.RELEASED)
        disabled = self._change_states(made.attempts, refused)
        touched = {one.endpoint_id for one in released}
        touched |= {one.claim.endpoint_id for one in made.attempts}
        self._close(disabled, refused, touched=touched)
        self.report.count(made.attempts)
        self.report.released += len(released)
        self._on_batch(made.attempts)

    def _change_states(self, attempts: Sequence[Attempt], refused: Sequence[Attempt]) -> set[int]:
        """Record the endpoints' health and the slots actually used; returns those now disabled."""
        seen = seen_by_endpoint(attempts)
        now = self._clock()
        targets = {
            one.claim.endpoint_id: self._ready[one.claim.endpoint_id].target
            for one in refused
            if one.follow_up.reason is Reason.INVALID_TARGET
        }
        disabled: set[int] = set()

        def rule(state: EndpointState) -> EndpointState:
            endpoint_id = state.endpoint_id
            customer = self._endpoints[endpoint_id].enterprise_customer_uuid
            before = resumed(state, self._claims.pauses.ended_at(endpoint_id, customer))
            after = after_batch(before, seen[endpoint_id], now) if endpoint_id in seen else state
            if endpoint_id in targets:
                after = replace(after, refused_target=targets[endpoint_id], refused_at=now)
            if after.disabled_at is not None:
                disabled.add(endpoint_id)
            slot_at = self._scheduler.next_slot_at(endpoint_id, state.next_slot_at)
            return replace(after, next_slot_at=slot_at)

        self._states.change({one.claim.endpoint_id for one in attempts} | targets.keys(), rule)
        return disabled

    def _close(
        self, disabled: Iterable[int], refused: Sequence[Attempt], *, touched: set[int]
    ) -> None:
        """Claim nothing more for endpoints that cannot receive, and hold their rows.

        ``touched`` are endpoints with rows whose lease just ended, which an earlier hold missed.
        """
        found = dict.fromkeys(disabled, Reason.ENDPOINT_DISABLED)
        for one in refused:
            endpoint_id = one.claim.endpoint_id
            if one.follow_up.reason is not None:
                found[endpoint_id] = one.follow_up.reason
            if isinstance(one.result, Failure):
                self.report.problems[endpoint_id] = one.result.detail
        found |= {key: reason for key, reason in self._held.items() if key in touched}
        if found:
            self._hold(found)
        for endpoint_id in self._claims.open_endpoints:
            if self._scheduler.fails_on_our_side(endpoint_id):
                self._claims.close(endpoint_id)
                self._postponed.add(endpoint_id)

    def _hold(self, reasons: Mapping[int, Reason]) -> None:
        """Hold the waiting rows of endpoints, and claim no more of them."""
        self._held |= reasons
        self.report.unusable |= reasons
        for endpoint_id in reasons:
            self._claims.close(endpoint_id)
        self._outbox.hold_and_release(reasons, ())

    def _give_back(self, end: datetime) -> None:
        """After an interruption: record what the journal holds and give back the rest.

        It does not matter where the run was interrupted: settling is idempotent.
        """
        try:
            self._scheduler.stop()
            while not self._scheduler.is_spent:
                self._scheduler.wait(end)
                self._scheduler.collect()
            attempts = self._journal.attempts()
            settle(self._warehouse, attempts, clock=self._clock, hook=self._hook)
            self._journal.forget(attempts)
            self._outbox.release_all()
        except Exception as error:
            log.warning(
                "this run's claims could not be given back (%s); their lease will expire",
                type(error).__name__,
            )
