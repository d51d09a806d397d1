"""The one send path: schedule, sensor, retry, replay and test send all deliver through here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sync.ledger.attempts import Attempt, finalize, settle_logged
from sync.ledger.journal import abandoned_journals, open_journal
from sync.ledger.steps import Step
from sync.sending.delivery_run import Run
from sync.sending.pipeline import deliver
from sync.sending.sender import DispatchReport, Sender
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

    Raises:
        StatementFailed: the ledger cannot be written, so sending stops; answers stay journaled.
        JournalFailed: the journal cannot be written, so nothing more is sent.
    """
    end = time.monotonic() + sender.limits.time_budget.total_seconds()
    recovered = recover(warehouse, sender)
    if recovered:
        sender.hook(Step.REPLAYED)
    with open_journal(sender.journal_directory) as journal:
        run = Run(warehouse, sender, journal)
        run.report.recovered = recovered
        deliver(run, sender.limits, end=end, on_batch=on_batch)
    return run.report


def recover(warehouse: Warehouse, sender: Sender) -> int:
    """Finalize what dead runs on this machine had received; how many answers."""
    recovered = 0
    with abandoned_journals(sender.journal_directory) as journals:
        for journal in journals:
            entries = journal.entries()
            finalize(warehouse, entries, clock=sender.clock, hook=sender.hook)
            journal.forget(entries)
            recovered += len(entries)
    settle_logged(warehouse, clock=sender.clock)
    return recovered
