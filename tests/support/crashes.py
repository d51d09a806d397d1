"""Runs that are killed, and what the ledger and the receiver must show afterwards."""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta

from sync.settings import EmbeddedWarehouse
from sync.warehouse import Warehouse
from tests.delivery.crash_worker import Death, finish, start
from tests.support.delivery import Run, all_steps, audit, complete, delivered, journaled
from tests.support.receiver_process import Receipt, ReceiverProcess

ROUND = timedelta(minutes=11)
"""Time between two runs: longer than a lease and than a circuit breaker stays open."""
ROUNDS_TO_RECOVER = 4


@dataclass
class CrashSite:
    """One ledger and one receiver, through any number of crashes."""

    settings: EmbeddedWarehouse
    warehouse: Warehouse
    target: ReceiverProcess
    run: Run
    users: int = 0
    ids: set[str] = field(default_factory=set)
    finished_at: dict[str, int] = field(default_factory=dict)
    """Requests received when an id was first recorded as delivered on disk."""
    crashes: int = 0

    def complete(self, number: int) -> set[str]:
        """Add this many completions; returns their webhook ids."""
        users = range(self.users + 1, self.users + number + 1)
        self.users += number
        new = complete(self.warehouse, users, endpoints=self.run.endpoints)
        self.ids |= new
        return new

    def crash(self, death: Death) -> bool:
        """Run until it dies at a step; returns whether it got that far."""
        code = finish(start(self.settings, self.run, death))
        assert code in (0, -signal.SIGKILL), f"the run failed with exit code {code}"
        self.after_run()
        self.crashes += code < 0
        return code < 0

    def crash_after(self, seconds: float) -> bool:
        """Kill a run this long after it started; returns whether it was still running."""
        process = start(self.settings, self.run)
        process.join(seconds)
        process.kill()
        code = finish(process)
        assert code in (0, -signal.SIGKILL), f"the run failed with exit code {code}"
        self.after_run()
        self.crashes += code < 0
        return code < 0

    def recover(self, rounds: int = ROUNDS_TO_RECOVER) -> None:
        """Run with healthy receivers: leftover work is taken up first, then retries come due."""
        self.target.repair()
        for _ in range(rounds):
            healthy = replace(self.run, limits=replace(self.run.limits, batch_size=1_000))
            all_steps(self.warehouse, healthy)
            self.after_run()
            if self.ids <= delivered(self.warehouse):
                break
        self.target.break_again()

    def after_run(self) -> None:
        """Note what is recorded on disk, check the ledger, and let the leases expire."""
        known = delivered(self.warehouse) | journaled(self.run.journals, state="delivered")
        seen = self.target.count()
        for webhook_id in known - self.finished_at.keys():
            self.finished_at[webhook_id] = seen
        assert audit(self.warehouse, is_at_rest=False) == []
        self.run = self.run.later(ROUND)

    def assert_all_is_well(self) -> None:
        """All is delivered, with the same bytes each time, and nothing known delivered was sent."""
        assert audit(self.warehouse, is_at_rest=True) == []
        assert self.ids == delivered(self.warehouse)
        receipts = self.target.received()
        bodies: dict[str, set[str]] = {}
        for receipt in receipts:
            bodies.setdefault(receipt.webhook_id, set()).add(receipt.digest)
        assert bodies.keys() == self.ids, "each completion came, and nothing else did"
        assert all(len(digests) == 1 for digests in bodies.values()), "the same bytes each time"
        assert self.sent_again(receipts) == []

    def sent_again(self, receipts: list[Receipt]) -> list[str]:
        """Ids that were sent although the journal or the ledger had them as delivered."""
        return [
            receipt.webhook_id
            for position, receipt in enumerate(receipts)
            if position >= self.finished_at.get(receipt.webhook_id, len(receipts))
        ]

    def repeated(self) -> int:
        """Requests for an id after the receiver had already answered it with 200."""
        accepted = Counter(one.webhook_id for one in self.target.received() if one.status == 200)
        return sum(accepted.values()) - len(accepted)
