"""The one send path: schedule, sensor, retry, replay and test send all deliver through here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sync.clock import Clock
from sync.delivery.delivery_run import Run
from sync.delivery.pipeline import deliver
from sync.delivery.sender import DispatchReport, Sender
from sync.delivery.stop import stop_on_signals
from sync.ledger.attempts import Attempt, finalize, leased_here, settle_logged
from sync.ledger.identity import LedgerIdentity, ledger_identity
from sync.ledger.journal import (
    ForeignJournal,
    abandoned_journals,
    foreign,
    needed_bytes,
    open_journal,
)
from sync.ledger.steps import Hook, Step, nothing
from sync.warehouse import Warehouse


def dispatch(
    warehouse: Warehouse,
    sender: Sender,
    *,
    on_batch: Callable[[Sequence[Attempt]], None] = lambda attempts: None,
) -> DispatchReport:
    """Send every due webhook, batch by batch, until none is due or the time budget is spent.

    First what a dead run had received is finalized, so that it is not sent again. A crash between
    two batches loses nothing and repeats nothing; one inside a batch repeats at most the requests
    in flight and the answers on their way to the disk (``pipeline.unwritten``), under the same
    ids, once the lease has run out.

    After SIGINT or SIGTERM nothing more is started, what was not tried is given back, requests
    that run may end and are recorded; then the signal has its usual effect.

    Raises:
        StatementFailed: the ledger cannot be written, so sending stops; answers stay journaled.
        JournalFailed: the journal cannot be written, so nothing more is sent.
    """
    end = time.monotonic() + sender.limits.time_budget.total_seconds()
    with stop_on_signals() as stop:
        ledger = ledger_identity(warehouse)
        recovered = recover(warehouse, sender, ledger)
        if recovered.answers:
            sender.hook(Step.REPLAYED)
        room = needed_bytes(sender.limits.batch_size)
        with open_journal(sender.journal_directory, ledger, room=room) as journal:
            run = Run(warehouse, sender, journal, stop)
            run.report.recovered = recovered.answers
            run.report.foreign_journals = recovered.foreign
            deliver(run, sender.limits, end=end, on_batch=on_batch, stop=stop)
            run.look_ahead()
    return run.report


@dataclass(frozen=True)
class Recovered:
    """What was found in the journals of dead processes."""

    answers: int
    """Of this ledger, and recorded in it now."""
    foreign: list[ForeignJournal]
    """Journals that were not written for this ledger, or do not say so: left as they are."""


def recover(warehouse: Warehouse, sender: Sender, ledger: LedgerIdentity) -> Recovered:
    """Finalize what dead runs on this machine had received for this ledger."""
    return recover_journals(
        warehouse, ledger, sender.journal_directory, clock=sender.clock, hook=sender.hook
    )


def recover_journals(
    warehouse: Warehouse,
    ledger: LedgerIdentity,
    directory: Path,
    *,
    clock: Clock,
    hook: Hook = nothing,
) -> Recovered:
    """The same for who has no run, but needs the ledger to know all there is."""
    answers = 0
    left: list[ForeignJournal] = []
    with abandoned_journals(directory) as journals:
        for journal in journals:
            mark = journal.mark
            if mark is not None and not ledger.is_meant_by(mark):
                # Not looked into: whoever shares the directory may run another version.
                left.append(foreign(journal))
                journal.leave()
                continue
            entries = journal.entries()
            own = entries if mark is not None else leased_here(warehouse, entries)
            finalize(warehouse, own, clock=clock, hook=hook)
            answers += len(own)
            if len(own) == len(entries):
                journal.discard()
                continue
            journal.forget(own)
            left.append(foreign(journal))
            journal.leave()
    settle_logged(warehouse, clock=clock)
    return Recovered(answers, [one for one in left if one.entries])
