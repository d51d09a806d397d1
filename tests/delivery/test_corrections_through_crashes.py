"""Random late lines for many completions while runs are killed: each change is sent once.

Real processes, a real SIGKILL, real sockets, and the real mart of corrections. The expected
corrections follow from the rule, implemented here a second time, over each day's numbers.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sync.delivery.build import EnrichmentPolicy
from sync.delivery.scheduler import Limits
from sync.ledger.steps import Step
from sync.warehouse import Warehouse, open_warehouse
from tests.delivery.crash_worker import Death, finish, start
from tests.support.completions import add_completions, completion
from tests.support.corrections import a_day_later, stand_corrections
from tests.support.crashes import ROUND
from tests.support.dbt import Dbt
from tests.support.delivery import PASSED_AT, Run, all_steps, enterprise, seed
from tests.support.event_types import COMPLETIONS, CORRECTIONS
from tests.support.marts import LEARNING_TIME_COLUMNS, create_table
from tests.support.pipeline import learning_time
from tests.support.receiver import Receiver, receiver
from tests.support.scenarios import Scenarios

PASSED_ON = datetime(2026, 3, 11)
DAY = timedelta(days=1)
DEATHS = [
    Step.RECORDED, Step.MESSAGES_WRITTEN, Step.BUILT, Step.CLAIMED, Step.RESPONDED,
    Step.JOURNALED, Step.ATTEMPTS_LOGGED, Step.SETTLED,
]  # fmt: skip


@dataclass
class Learner:
    """One completion, and the corrections that its customer must get by the rule."""

    seconds: int
    told: int
    loaded_at: datetime = PASSED_ON
    corrections: list[int] = field(default_factory=list)

    def late_line(self, chance: random.Random, at: datetime) -> None:
        """Most days change nothing; others less or more than the tolerance, or revert a change."""
        moved = chance.choice([0, 0, 0, 1, 99, 100, 101, 900, 5_000, -101, -900])
        back = chance.random() < 0.1
        if moved or back:
            self.seconds = self.told if back else max(self.seconds + moved, 0)
            self.loaded_at = at

    def correct(self, through: datetime) -> None:
        """The rule: over a tenth and a minute off, unchanged for a day, at most three times."""
        has_moved = abs(self.seconds - self.told) > max(60, self.told / 10)
        if has_moved and self.loaded_at + DAY <= through and len(self.corrections) < 3:
            self.told = self.seconds
            self.corrections.append(self.seconds)


@pytest.fixture
def target() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.mark.parametrize(
    ("learners", "days"), [(24, 4), pytest.param(400, 40, marks=pytest.mark.prove)]
)
def test_every_drift_is_told_once_none_below_the_tolerance_and_none_twice_after_a_crash(
    scenarios: Scenarios, target: Receiver, dbt: Dbt, tmp_path: Path, learners: int, days: int
) -> None:
    chance = random.Random(20_260_310)
    stand_corrections(scenarios, dbt)
    people = {n: Learner(seconds=1_000, told=1_000) for n in range(1, learners + 1)}
    with open_warehouse(scenarios.settings, purpose="tests") as warehouse:
        seed(warehouse, [f"{target.url}/hooks/1"], event_types=CORRECTIONS.name)
        add_completions(
            warehouse,
            [completion(n, PASSED_AT, enterprise_customer_uuid=enterprise(1)) for n in people],
        )
        run = Run(
            host_ports=target.host_port,
            journals=tmp_path,
            endpoints=1,
            limits=Limits(batch_size=5, threads=4, per_endpoint=4),
            sources=(COMPLETIONS.name, CORRECTIONS.name),
            enrichment=EnrichmentPolicy(enabled=True),
        )
        write(warehouse, people, PASSED_ON)
        all_steps(warehouse, run)
        deaths = 0
        for day in range(1, days + 1):
            now = PASSED_ON + day * DAY
            for one in people.values():
                one.late_line(chance, now)
                one.correct(now)
            write(warehouse, people, now)
            death = Death(chance.choice(DEATHS), chance.choice([1, 1, 2]))
            deaths += finish(start(scenarios.settings, run, death)) < 0
            # Longer than the leases of killed runs. Twice: the second run has nothing left to do.
            for _ in range(2):
                run = run.later(ROUND)
                all_steps(warehouse, run)
            assert told(target) == {n: one.corrections for n, one in people.items()}
            a_day_later(warehouse)
    assert deaths >= days // 2, "runs were killed"
    assert sum(len(one.corrections) for one in people.values()) > learners // 3


def write(warehouse: Warehouse, people: dict[int, Learner], through: datetime) -> None:
    """Write this day's mart."""
    rows = [
        learning_time(
            n,
            enterprise_customer_uuid=enterprise(1),
            learning_time_seconds=one.seconds,
            last_loaded_at=one.loaded_at.isoformat(),
            computed_through=through.isoformat(),
        )
        for n, one in people.items()
    ]
    create_table(warehouse, "completion_learning_time", LEARNING_TIME_COLUMNS, rows)


def told(target: Receiver) -> dict[int, list[int]]:
    """Seconds of each learner's corrections, ordered by number; a request repeated after a crash
    has the same id and bytes."""
    bodies = {one.webhook_id: one.body for one in target.received}
    assert {(one.webhook_id, one.body) for one in target.received} == set(bodies.items())
    found: dict[int, dict[int, int]] = {}
    for body in map(json.loads, bodies.values()):
        seconds = found.setdefault(body["learner"]["user_id"], {})
        if body["event_type"] == CORRECTIONS.name:
            number = body["correction"]["number"]
            assert number not in seconds, "two messages have one number"
            seconds[number] = body["learning_time"]["total_seconds"]
    return {n: [seconds for _, seconds in sorted(of.items())] for n, of in found.items()}
