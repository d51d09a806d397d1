"""The other variants of the rule agree with the reference, and compare as published.

The default variant is tested everywhere else.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from sync.settings import PROJECT_ROOT
from sync.warehouse import Warehouse
from tests.dbt.scenario import (
    RUN,
    Batch,
    daily,
    enroll,
    line,
    load,
    pass_course,
    prepare,
)
from tests.reference import learning_time
from tests.reference.learning_time import SESSION_TIMEOUT, Event, Reading
from tests.support import kdd
from tests.support.dbt import Dbt

START = datetime(2026, 3, 4, 22, 0, tzinfo=UTC)
LOADED_AT = START + timedelta(days=5)
GAPS = [0, 1e-6, 0.5, 60, 900, 1799.999999, 1800, 1800.000001, 1801, 4000, 70_000]
LEARNERS = range(1, 25)
BUILD = ("build", "--select", "+marts.learning_time", "--exclude-resource-type", "unit_test")
BUILD += ("--exclude", "tag:delivery", "test_name:replica_is_readable")
"""The tests of replicas do not depend on the variant."""


def timelines(seed: int) -> dict[int, list[datetime]]:
    """Times of each learner's events, over two or more days."""
    chance = random.Random(seed)
    found = {}
    for learner in LEARNERS:
        at = START + timedelta(minutes=chance.randrange(120))
        found[learner] = [at]
        for _ in range(chance.randrange(1, 9)):
            at += timedelta(seconds=chance.choice(GAPS))
            found[learner].append(at)
    return found


@pytest.fixture
def logged(warehouse: Warehouse) -> list[Event]:
    """The events in the log; every learner has passed within two hours of some event."""
    prepare(warehouse)
    enroll(warehouse, LEARNERS)
    events = [
        Event(learner, RUN, at, f"play_video#{number}", "{}")
        for learner, times in timelines(4).items()
        for number, at in enumerate(times)
    ]
    load(warehouse, Batch("all", LOADED_AT, tuple(map(_line, events))))
    for learner in LEARNERS:
        pass_course(warehouse, learner, passed_at(learner, events))
    return events


@pytest.mark.parametrize("reading", ["cap", "drop"])
def test_days_and_completions_of_each_reading_equal_the_reference(
    warehouse: Warehouse, dbt: Dbt, logged: list[Event], reading: Reading
) -> None:
    """The models' tests also run: they hold for every variant."""
    dbt(*BUILD, "--vars", f"{{long_gap_rule: {reading}, tail_seconds: 300}}")

    after = timedelta(seconds=300)
    assert daily(warehouse) == {
        key: (day.microseconds, day.event_count, day.session_count)
        for key, day in learning_time.days(logged, reading=reading, tail=after).items()
    }
    assert to_completion(warehouse) == {
        learner: learning_time.seconds_to_completion(
            (one for one in logged if one.user_id == learner),
            passed_at(learner, logged),
            reading=reading,
            tail=after,
        )
        for learner in LEARNERS
    }


@pytest.mark.parametrize("seed", range(20))
def test_a_capped_gap_counts_more_than_a_dropped_one(seed: int) -> None:
    events = [
        Event(learner, RUN, at, str(number), "")
        for learner, times in timelines(seed).items()
        for number, at in enumerate(times)
    ]
    assert total(events, "drop") < total(events, "cap")


@pytest.fixture(scope="module")
def real_times() -> dict[tuple[int, str], list[datetime]]:
    """Times of a public data set by enrollment; all of its events count as learning."""
    if not kdd.KDD.is_dir():
        pytest.skip("the KDD Cup data is not here")
    found: dict[tuple[int, str], list[datetime]] = {}
    for row in kdd.read("events"):
        unit = int(row["enrollment_id"]), row["course_id"]
        found.setdefault(unit, []).append(datetime.fromisoformat(row["time"]))
    return found


@pytest.mark.parametrize(
    ("reading", "minutes", "hours"),
    [
        ("cap", 30, "13,239"),
        ("drop", 60, "6,745"),
    ],
)
def test_the_published_comparison_is_what_the_readings_make_of_real_logs(
    real_times: dict[tuple[int, str], list[datetime]], reading: Reading, minutes: int, hours: str
) -> None:
    """The sum over the gaps, which matches the reference for a sample of them."""
    timeout = timedelta(minutes=minutes)
    some = dict(islice(real_times.items(), 0, None, 50))
    events = [
        Event(*unit, at.replace(tzinfo=UTC), str(number), "")
        for unit, times in some.items()
        for number, at in enumerate(times)
    ]
    assert total(events, reading, timeout=timeout) == sum_of_gaps(some, reading, timeout)
    found = sum_of_gaps(real_times, reading, timeout)
    documented = (PROJECT_ROOT / "docs" / "learning-time.md").read_text(encoding="utf-8")

    assert f"{round(found / 3_600_000_000):,}" == hours
    assert f" {hours}" in documented.replace("*", "")


def sum_of_gaps(
    times: Mapping[tuple[int, str], Sequence[datetime]], reading: Reading, timeout: timedelta
) -> int:
    """Microseconds of all enrollments; faster than the reference."""
    longest = timeout if reading == "cap" else timedelta()
    counted = (
        gap if gap <= timeout else longest
        for one in times.values()
        for before, after in pairwise(sorted(one))
        for gap in [after - before]
    )
    return sum(counted, timedelta()) // timedelta(microseconds=1)


def total(events: list[Event], reading: Reading, timeout: timedelta = SESSION_TIMEOUT) -> int:
    days = learning_time.days(events, reading=reading, timeout=timeout)
    return sum(day.microseconds for day in days.values())


def passed_at(learner: int, events: list[Event]) -> datetime:
    """A time before, at or after one of the learner's events, stable for each learner."""
    times = [one.at for one in events if one.user_id == learner]
    chosen = times[learner % len(times)]
    return chosen + timedelta(seconds=(-30, 0, 30, 7000)[learner % 4])


def to_completion(warehouse: Warehouse) -> dict[int, int]:
    rows = warehouse.rows("select * from analytics.marts.completion_learning_time")
    return {int(row["user_id"]): int(row["learning_time_seconds"]) for row in rows}


def _line(event: Event) -> str:
    """Events at the same instant differ in their payload."""
    return line(event.user_id, event.at.isoformat(), event=f'{{"n": "{event.name}"}}')
