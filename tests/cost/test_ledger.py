"""What statements of real runs touch in a ledger with ten million finished webhooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from sync.domain.pauses import NO_PAUSES
from sync.domain.work import Claim
from sync.ledger.attempts import settle
from sync.ledger.checks import bodies_that_differ, recorded_twice, successes_not_settled
from sync.ledger.outbox import remaining
from sync.ledger.tables import ensure_ledger
from sync.operations.changes import hand_over, ledger_token
from sync.warehouse import Warehouse, open_warehouse
from tests.cost.partitions import Account, Partition, Table, Touched, in_order_of_arrival
from tests.cost.recording import Sent, recorded
from tests.delivery.model_parts import attempt_of
from tests.support.delivery import Run, complete, seed
from tests.support.receiver import Receiver, receiver
from tests.support.scenarios import Scenarios

WEBHOOKS = 10_000_000
YEAR = timedelta(days=365)
OUTBOX, MESSAGES, ATTEMPTS = "webhook_outbox", "webhook_messages", "webhook_attempts"
SLIM, BODY, ATTEMPT = 60, 550, 80
"""Compressed bytes per row. Ids and times hardly compress, repeated texts almost completely; a body
is about 1 kB of JSON."""
NONE, RETRY_WINDOW = timedelta(), timedelta(days=2)
TIMES = {"recorded_at": NONE, "occurred_at": timedelta(days=30), "updated_at": RETRY_WINDOW}
FINISHED = {"next_attempt_at": None, "lease_owner": None, "lease_expires_at": None}


def build_id(at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%S}"


def ledger(now: datetime, *, outbox_bytes: int = SLIM, is_open_everywhere: bool = False) -> Account:
    """A year of webhooks, all finished, or with a waiting retry in each partition."""
    table = partial(in_order_of_arrival, rows=WEBHOOKS, first=now - YEAR, last=now)
    outbox = table(
        OUTBOX,
        bytes_per_row=outbox_bytes,
        follow=TIMES,
        constant={} if is_open_everywhere else FINISHED,
    )
    messages = table(MESSAGES, bytes_per_row=BODY, follow={"frozen_at": NONE})
    with_builds = Table(
        MESSAGES,
        tuple(
            Partition({**one.ranges, "build_id": (build_id(first), build_id(last))})
            for one in messages.partitions
            for first, last in [one.ranges["frozen_at"]]
        ),
    )
    attempts = table(ATTEMPTS, bytes_per_row=ATTEMPT, follow={"started_at": NONE})
    return Account([outbox, with_builds, attempts])


@pytest.fixture(scope="module")
def world(
    scenarios: Scenarios, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Warehouse, Run, Receiver]]:
    """One customer with one endpoint, and a ledger with everything delivered."""
    scenarios.stand("ledger", ensure_ledger)
    journals: Path = tmp_path_factory.mktemp("journals")
    with receiver() as target, open_warehouse(scenarios.settings, purpose="tests") as session:
        seed(session, [f"{target.url}/hooks/one"])
        complete(session, [1], endpoints=1)
        run = Run(host_ports=target.host_port, journals=journals, endpoints=1)
        a_run(session, run)
        yield session, run, target


def a_run(session: Warehouse, run: Run) -> None:
    """All statements of completion_webhooks_job to the ledger."""
    recorded_twice(session)
    run.record_and_build(session)
    report = run.send(session)
    if not report.was_idle:
        hand_over(session, ledger_token(session), remaining(session, NO_PAUSES))
    for check in (bodies_that_differ, successes_not_settled):
        check(session)


def on_ledger(account: Account, sent: Sent) -> list[Touched]:
    """What each statement on one of the large tables touches."""
    touched = [account.run(sql, binds) for sql, binds in sent]
    return [one for one in touched if one.scanned or one.rewritten]


def scanned(touched: Sequence[Touched]) -> int:
    """Total partitions, each counted as often as it is read."""
    return sum(len(numbers) for one in touched for numbers in one.scanned.values())


@pytest.fixture(scope="module")
def idle(world: tuple[Warehouse, Run, Receiver]) -> Sent:
    session, run, _ = world
    with recorded() as sent:
        a_run(session, run)
    return sent


def test_an_idle_run_scans_a_hundred_partitions_in_six_statements(
    idle: Sent, world: tuple[Warehouse, Run, Receiver]
) -> None:
    now = world[1].clock(world[0])()
    touched = on_ledger(ledger(now), idle)
    assert len(touched) <= 6
    assert scanned(touched) <= 100
    assert not any(one.rewritten for one in touched)


def test_only_detection_reads_finished_rows(
    idle: Sent, world: tuple[Warehouse, Run, Receiver]
) -> None:
    now = world[1].clock(world[0])()
    account = ledger(now)
    outbox = account.tables[OUTBOX]
    whole = [one for one in on_ledger(account, idle) if one.share(outbox) > 0.1]
    assert len(whole) == 1


def test_a_sending_run_reads_finished_rows_for_detection_alone(
    world: tuple[Warehouse, Run, Receiver],
) -> None:
    session, run, _ = world
    complete(session, [2, 3], endpoints=1)
    with recorded() as sent:
        a_run(session, run)
    account = ledger(run.clock(session)())
    outbox, messages = account.tables[OUTBOX], account.tables[MESSAGES]
    touched = on_ledger(account, sent)
    # Counted, and inserted.
    assert sum(one.share(outbox) > 0.1 for one in touched) == 2
    assert max(one.share(messages) for one in touched) < 0.1


def test_settling_a_thousand_scattered_retries_rewrites_a_hundred_partitions(
    world: tuple[Warehouse, Run, Receiver],
) -> None:
    session, run, _ = world
    (row,) = session.rows("select * from analytics.sync.webhook_outbox where user_id = 1")
    now = run.clock(session)()
    claim = Claim(row["webhook_id"], 1, b"", attempt_count=1, fence=int(row["fence"]))
    with recorded() as sent:
        settle(
            session,
            [attempt_of(claim, "500", run_id="run-1", started_at=now, now=now)],
            clock=run.clock(session),
        )

    def rewritten(account: Account) -> int:
        touched = [account.run(sql, binds, rows=1_000) for sql, binds in sent]
        return sum(sum(one.rewritten.values()) for one in touched)

    assert rewritten(ledger(now, is_open_everywhere=True)) <= 100
    assert rewritten(ledger(now, is_open_everywhere=True, outbox_bytes=SLIM + BODY)) > 300, (
        "with the bodies in it, it was nearly all of the table"
    )
