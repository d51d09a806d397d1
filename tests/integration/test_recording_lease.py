"""Concurrent detection: only one run records, and nothing is recorded twice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from sync.clock import warehouse_clock
from sync.delivery.record import Detected, LeftToAnother, Recorded, record
from sync.ledger.activation import activate
from sync.ledger.recording_lease import LEASE, Granted, TakenBy, recording_lease
from sync.ledger.steps import Hook, Step, nothing
from sync.settings import EmbeddedWarehouse
from sync.warehouse import NoResponse, StatementFailed, Warehouse, open_warehouse
from tests.support.completions import add_completions, completion
from tests.support.event_types import COMPLETIONS
from tests.support.examples import examples
from tests.support.pipeline import ACTIVATED_AT, PASSED_AT, Pipeline

TYPE = COMPLETIONS.name
ROW = "select lease_owner, lease_expires_at from analytics.sync.activations"


@pytest.fixture
def other(warehouse_settings: EmbeddedWarehouse) -> Iterator[Warehouse]:
    """The session of another run."""
    with open_warehouse(warehouse_settings, purpose="other") as session:
        yield session


def detect(session: Warehouse, run_id: str, *, hook: Hook = nothing) -> Detected:
    return record(
        session,
        run_id=run_id,
        clock=warehouse_clock(session),
        activated_at=ACTIVATED_AT,
        hook=hook,
    )


def test_a_run_that_meets_another_at_work_leaves_the_completions_to_it(
    pipeline: Pipeline, other: Warehouse
) -> None:
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT)])
    met: list[Detected] = []

    def one_more(step: Step) -> None:
        assert step is Step.RECORDED
        add_completions(pipeline.warehouse, [completion(4, PASSED_AT)])
        met.append(detect(other, "run-2"))

    assert detect(pipeline.warehouse, "run-1", hook=one_more) == Recorded(ACTIVATED_AT, 3, 0)
    (left,) = met
    assert isinstance(left, LeftToAnother)
    assert left.run_id == "run-1"
    assert detect(other, "run-2") == Recorded(ACTIVATED_AT, 1, 0), "the lease was given back"


def test_many_runs_at_the_same_time_record_each_completion_once(
    pipeline: Pipeline, warehouse_settings: EmbeddedWarehouse
) -> None:
    runs, rounds = 4, examples(2, 20)
    pipeline.detect()
    together = Barrier(runs, timeout=60)

    def work(number: int) -> int:
        recorded = 0
        with open_warehouse(warehouse_settings, purpose=f"run-{number}") as session:
            for turn in range(rounds):
                if together.wait() == 0:
                    users = range(100 * turn + 10, 100 * turn + 60)
                    add_completions(session, [completion(n, PASSED_AT) for n in users])
                together.wait()
                outcome = detect(session, f"run-{number}-{turn}")
                recorded += outcome.awaiting if isinstance(outcome, Recorded) else 0
                together.wait()
        return recorded

    with ThreadPoolExecutor(runs) as pool:
        counted = sum(pool.map(work, range(runs)))
    rows = pipeline.rows("webhook_id, recorded_run_id")
    assert len({row["webhook_id"] for row in rows}) == len(rows) == 2 + 50 * rounds
    assert counted == 50 * rounds, "each says what it recorded itself"


def test_a_statement_whose_lease_is_not_the_only_one_records_nothing(
    pipeline: Pipeline, other: Warehouse
) -> None:
    """Two concurrent first runs leave two activation rows, and each run can lease one of them."""
    session = pipeline.warehouse
    clock = warehouse_clock(session)
    activate(session, clock=clock, activated_at=ACTIVATED_AT)
    with recording_lease(session, TYPE, run_id="run-1", clock=clock) as first:
        assert isinstance(first, Granted)
        assert is_met(session, first)
        session.execute(
            "insert into analytics.sync.activations (event_type, activated_at, recorded_at)"
            f" select '{TYPE}', sysdate(), sysdate()"
        )
        with recording_lease(other, TYPE, run_id="run-2", clock=clock) as second:
            assert isinstance(second, Granted)
            assert not is_met(other, second)
        assert is_met(session, first)


def is_met(session: Warehouse, lease: Granted) -> bool:
    rows = session.rows(f"select 1 as one where {lease.condition}", *lease.binds)
    return bool(rows)


def test_the_lease_of_a_killed_run_ends_by_itself(pipeline: Pipeline, other: Warehouse) -> None:
    class Killed(BaseException):
        pass

    def die(step: Step) -> None:
        raise Killed

    with pytest.raises(Killed):
        detect(pipeline.warehouse, "run-1", hook=die)
    add_completions(pipeline.warehouse, [completion(3, PASSED_AT)])
    assert isinstance(detect(other, "run-2"), LeftToAnother)
    now = warehouse_clock(other)
    outcome = record(other, run_id="run-2", clock=lambda: now() + LEASE + timedelta(seconds=1))
    assert outcome == Recorded(ACTIVATED_AT, 1, 0)


@pytest.mark.parametrize(("error", "is_kept"), [(StatementFailed, False), (NoResponse, True)])
def test_a_failed_statement_gives_the_lease_back_unless_it_may_still_be_at_work(
    pipeline: Pipeline, error: type[StatementFailed], *, is_kept: bool
) -> None:
    clock = pipeline.clock
    activate(pipeline.warehouse, clock=clock, activated_at=ACTIVATED_AT)
    with (
        pytest.raises(error),
        recording_lease(pipeline.warehouse, TYPE, run_id="run-1", clock=clock),
    ):
        raise error("invented")
    (row,) = pipeline.warehouse.rows(ROW)
    assert (row["lease_owner"] is not None) == is_kept
    with recording_lease(pipeline.warehouse, TYPE, run_id="run-2", clock=clock) as lease:
        assert isinstance(lease, TakenBy if is_kept else Granted)
