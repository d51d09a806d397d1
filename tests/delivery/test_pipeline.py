"""Overlapping batches: one is claimed and another recorded while others send."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sync.delivery.scheduler import Limits
from sync.delivery.send import send_due
from sync.domain.responses import Response
from sync.ledger.steps import Step
from sync.warehouse import StatementFailed, Warehouse
from tests.support.delivery import Run, audit, complete, delivered, journaled, seed
from tests.support.receiver_process import receiver_process
from tests.support.site import BATCH, OK, Built, Poster

WAIT_SECONDS = 120.0


def test_the_next_batch_is_claimed_while_the_last_one_is_being_sent(
    built: Built, warehouse: Warehouse
) -> None:
    site = built(20, 20)
    claims = Counter[Step]()
    is_claimed_again = threading.Event()

    def hook(step: Step) -> None:
        claims[step] += 1
        if claims[Step.CLAIMED] == 2:
            is_claimed_again.set()

    def answer(url: str) -> Response:
        # The first few respond; the last of the first batch wait for the claim of the second.
        if poster.sent.total() >= BATCH - 2:
            assert is_claimed_again.wait(WAIT_SECONDS), "nothing was claimed meanwhile"
        return OK

    poster = Poster(answer)
    assert site.send(poster, hook=hook).outcomes == {"delivered": 40}
    assert set(poster.sent.values()) == {1}
    assert delivered(warehouse) == site.ids


def test_a_slow_endpoint_holds_up_its_own_rows_only(built: Built) -> None:
    """It responds only once all webhooks of the other one are sent, over many batches."""
    site = built(30, 30)
    left = [30]
    is_fast_done = threading.Event()

    def answer(url: str) -> Response:
        if url.endswith("/1"):
            assert is_fast_done.wait(WAIT_SECONDS), "the fast one waited for the slow one"
            return OK
        with poster.lock:
            left[0] -= 1
            if left[0] == 0:
                is_fast_done.set()
        return OK

    poster = Poster(answer)
    assert site.send(poster).outcomes == {"delivered": 60}


def test_a_slow_disk_ends_slots_no_earlier_than_so_many_responses_wait_for_it(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is locked externally until the maximum of unwritten responses is reached."""
    monkeypatch.setattr("sync.ledger.journal.BUSY_SECONDS", WAIT_SECONDS)
    threads = 8
    most_unwritten = threads + Limits(threads=threads).unwritten
    site = built(*[10] * threads)
    steps, most, journal = Counter[Step](), [0], ExitStack()

    def hook(step: Step) -> None:
        with poster.lock:
            steps[step] += 1
            most[0] = max(most[0], steps[Step.RESPONDED] - steps[Step.JOURNALED])
            if (step, steps[step]) == (Step.CLAIMED, 1):
                journal.enter_context(locked(next(tmp_path.glob("*.journal"))))
            elif (step, steps[step]) == (Step.RESPONDED, most_unwritten):
                journal.close()

    poster = Poster()
    report = site.send(poster, hook=hook, batch_size=100, threads=threads)
    assert report.outcomes == {"delivered": len(site.ids)}
    assert set(poster.sent.values()) == {1}
    assert most[0] == most_unwritten


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps others from writing to a SQLite file during the block."""
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("begin immediate")
    try:
        yield
    finally:
        connection.close()


@pytest.mark.parametrize(("endpoints", "most"), [(6, 8), (3, 6)])
def test_the_receiver_never_has_more_requests_at_one_time_than_the_limits_say(
    warehouse: Warehouse, tmp_path: Path, endpoints: int, most: int
) -> None:
    """The receiver holds requests until the maximum has arrived, however slow the machine."""
    each, limits = 40, Limits(threads=8, per_endpoint=2)
    with receiver_process() as target:
        seed(
            warehouse,
            [target.url(f"/gather/{most}/10/{n}") for n in range(endpoints)],
            max_requests_per_minute=600_000,
        )
        ids = complete(warehouse, range(1, endpoints * each + 1), endpoints=endpoints)
        run = Run(
            host_ports=target.host_port, journals=tmp_path, endpoints=endpoints, limits=limits
        )
        run.record_and_build(warehouse)
        run.send(warehouse)
        at_once = target.most_at_once()
    assert delivered(warehouse) == ids
    assert at_once.pop("") == most
    assert max(at_once.values()) == limits.per_endpoint


def test_statements_grow_with_batches_and_not_with_webhooks(
    built: Built, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A slow machine settles a batch in parts.
    monkeypatch.setattr("sync.delivery.scheduler.SETTLE_AFTER", timedelta(hours=1))
    site = built(80, 80)
    before = warehouse.statements
    assert site.send(Poster(), batch_size=40).outcomes == {"delivered": 160}
    spent = warehouse.statements - before
    # At most two turns per batch, of twelve statements, plus the start and end of a run.
    assert spent <= 20 + 4 * 2 * 12


def test_what_waits_when_the_time_is_up_is_given_back_uncharged(
    built: Built, warehouse: Warehouse
) -> None:
    """It is up during the third request, which ends only after the others are released."""
    site = built(10)
    now, ahead, is_given_back = site.run.clock(warehouse), [timedelta(0)], threading.Event()

    def hook(step: Step) -> None:
        if step is Step.RELEASED:
            is_given_back.set()

    def answer(url: str) -> Response:
        if poster.sent.total() == 3:
            ahead[0] = timedelta(minutes=31)
            assert is_given_back.wait(WAIT_SECONDS), "the end was not noticed"
        return OK

    poster = Poster(answer)
    limits = replace(site.run.limits, time_budget=timedelta(minutes=30), per_endpoint=1)
    sender = replace(site.run, limits=limits).sender(warehouse, poster, hook=hook)
    report = send_due(warehouse, replace(sender, clock=lambda: now() + ahead[0]))
    assert (poster.sent.total(), report.released) == (3, 7)
    assert audit(warehouse, is_at_rest=True) == []
    assert site.send(Poster()).outcomes == {"delivered": 7}


class Breaking(Warehouse):
    """A session whose n-th statement of a kind fails."""

    def break_at(self, kind: str, occurrence: int) -> Breaking:
        self.kind, self.left = kind, occurrence
        return self

    def execute(self, sql: str, *binds: object) -> int:
        if sql.strip().lower().startswith(self.kind):
            self.left -= 1
            if self.left == 0:
                raise StatementFailed("invented failure")
        return super().execute(sql, *binds)


@pytest.mark.parametrize(
    ("kind", "occurrence"),
    [
        pytest.param("insert into analytics.sync.webhook_attempts", 1, id="first record"),
        pytest.param("insert into analytics.sync.webhook_attempts", 2, id="second record"),
        pytest.param("update analytics.sync.endpoint_state", 3, id="state of endpoints"),
        pytest.param("update analytics.sync.webhook_outbox", 4, id="outbox"),
        pytest.param("update analytics.sync.webhook_outbox", 5, id="outbox, later"),
    ],
)
def test_a_statement_that_fails_while_requests_run_ends_the_run_and_loses_nothing(
    built: Built, warehouse: Warehouse, tmp_path: Path, kind: str, occurrence: int
) -> None:
    site = built(20, 20)
    poster = Poster()
    broken = Breaking(warehouse.settings, warehouse._connection).break_at(kind, occurrence)
    with pytest.raises(StatementFailed, match="invented failure"):
        site.send(poster, warehouse=broken)
    assert broken.left == 0, "the statement came while the run was under way"
    known = journaled(tmp_path, state="delivered") | delivered(warehouse)
    assert known == set(poster.sent), "every answer is on disk or in the ledger"
    site.run = site.run.later(timedelta(minutes=11))
    site.send(poster, batch_size=100)
    assert set(poster.sent.values()) == {1}, "nothing was sent twice"
    assert delivered(warehouse) == site.ids
    assert audit(warehouse, is_at_rest=True) == []
