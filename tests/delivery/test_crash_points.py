"""A run killed between any two steps loses nothing, and sends nothing finished again.

Real processes, a real SIGKILL, real sockets, one shared ledger.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sync.delivery.scheduler import Limits
from sync.ledger.steps import Step
from sync.ledger.tables import ensure_ledger
from sync.warehouse import open_warehouse
from tests.delivery.crash_worker import Death
from tests.support.crashes import CrashSite
from tests.support.delivery import Run, all_steps, audit, delivered, journaled, seed
from tests.support.receiver_process import ReceiverProcess, receiver_process
from tests.support.scenarios import Scenarios

THREADS = 4
UNKNOWN = THREADS + Limits(threads=THREADS).unwritten
"""Maximum responses a crash can lose: of requests in flight, and not yet written to disk."""
BATCH = 5
LIMITS = Limits(batch_size=BATCH, threads=THREADS, per_endpoint=2)
EACH = 12
KILLS = 12
BEFORE_A_REQUEST = (
    Step.RECORDED,
    Step.MESSAGES_WRITTEN,
    Step.BUILT,
    Step.RESERVED,
    Step.CLAIMED,
)
LATER_BATCHES = (Step.CLAIMED, Step.JOURNALED, Step.SETTLED)


@pytest.fixture(scope="module")
def target() -> Iterator[ReceiverProcess]:
    with receiver_process() as running:
        yield running


@pytest.fixture(scope="module")
def site(
    scenarios: Scenarios,
    target: ReceiverProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CrashSite]:
    """Three customers; the endpoint of one refuses every webhook once before it accepts it."""
    urls = [target.url("/ok/1"), target.url("/wait/20/2"), target.url("/first/503/3")]
    scenarios.stand("ledger", ensure_ledger)
    with open_warehouse(scenarios.settings, purpose="tests") as warehouse:
        seed(warehouse, urls)
        run = Run(
            host_ports=target.host_port,
            journals=tmp_path_factory.mktemp("journals"),
            endpoints=len(urls),
            limits=LIMITS,
        )
        yield CrashSite(scenarios.settings, warehouse, target, run)


def test_kills_in_each_step_before_a_request_lose_and_repeat_nothing(site: CrashSite) -> None:
    """Consecutive runs, each of which gets only slightly further than the last."""
    before = site.repeated()
    for step in BEFORE_A_REQUEST:
        site.complete(EACH)
        assert site.crash(Death(step)), f"the run never came to {step}"
    site.recover()
    site.assert_all_is_well()
    assert site.repeated() == before


@pytest.mark.parametrize(
    ("step", "occurrence"),
    [(step, 1) for step in Step if step not in (*BEFORE_A_REQUEST, Step.RECOVERED)]
    + [(step, 2) for step in LATER_BATCHES],
)
def test_a_kill_after_a_step_loses_nothing_and_repeats_only_what_was_in_flight(
    site: CrashSite, step: Step, occurrence: int
) -> None:
    before = site.repeated()
    site.complete(EACH)
    assert site.crash(Death(step, occurrence)), f"the run never came to {step}"
    site.recover()
    site.assert_all_is_well()
    assert site.repeated() - before <= UNKNOWN


def test_a_kill_during_recovery_repeats_nothing_at_all(site: CrashSite) -> None:
    # One batch, settled once all of it has a response, so the first kill hits no request.
    site.run = replace(site.run, limits=replace(LIMITS, batch_size=1_000))
    for step in (Step.ATTEMPTS_LOGGED, Step.RECOVERED):
        before = site.repeated()
        site.complete(EACH)
        assert site.crash(Death(Step.SETTLED))
        assert journaled(site.run.journals, state="delivered"), "there is something to recover"
        assert site.crash(Death(step))
        site.recover()
        site.assert_all_is_well()
        assert site.repeated() == before
    site.run = replace(site.run, limits=LIMITS)


@pytest.mark.parametrize(
    ("death", "is_repeated"),
    [
        # By then the whole batch has responses.
        pytest.param(Death(Step.JOURNALED, EACH), True, id="nobody else knew the answers"),
        pytest.param(Death(Step.ATTEMPTS_LOGGED), False, id="the log in the warehouse knew them"),
    ],
)
def test_with_the_journal_lost_it_is_at_least_once_under_the_same_ids(
    site: CrashSite, death: Death, is_repeated: bool
) -> None:
    before = site.repeated()
    site.complete(EACH)
    site.run = replace(site.run, limits=replace(LIMITS, batch_size=EACH))
    assert site.crash(death)
    site.run = replace(site.run, limits=LIMITS)
    lost = journaled(site.run.journals, state="delivered") - delivered(site.warehouse)
    assert lost, "answers that only the lost disk knew"
    shutil.rmtree(site.run.journals)
    if is_repeated:
        for webhook_id in lost:
            del site.finished_at[webhook_id]
    site.recover()
    site.assert_all_is_well()
    repeated = site.repeated() - before
    assert repeated == (len(lost) if is_repeated else 0)


@pytest.mark.prove
def test_kills_at_random_times_lose_nothing_either(site: CrashSite) -> None:
    chance = random.Random(20260310)
    before, crashes = site.repeated(), site.crashes
    while site.crashes - crashes < KILLS:
        site.complete(EACH)
        site.crash_after(chance.uniform(0.1, 1.5))
    site.recover()
    site.assert_all_is_well()
    assert site.repeated() - before <= KILLS * UNKNOWN


def test_the_audit_finds_what_it_is_for(site: CrashSite) -> None:
    site.complete(1)
    all_steps(site.warehouse, site.run)
    attempts = "analytics.sync.webhook_attempts"
    site.warehouse.execute("begin")
    site.warehouse.execute(f"insert into {attempts} select * from {attempts}")
    found = audit(site.warehouse, is_at_rest=True)
    site.warehouse.execute("rollback")
    assert found == ["an attempt was logged twice"]
