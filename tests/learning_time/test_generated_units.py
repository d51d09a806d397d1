"""Properties of every learner and course run, over hundreds of them in one build.

Units do not influence each other, so all variants of a unit are built together: shuffled, with
duplicates, with one more event, shifted, renamed, among noise.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.dbt.scenario import Batch, enroll, line
from tests.learning_time.models import Day, Models, events, sessions, total
from tests.learning_time.timelines import (
    DAY,
    GAPS,
    SECOND,
    STARTS,
    TIMEOUT,
    Unit,
    at,
    gaps_of,
    model_sessions,
    model_total,
    unit,
)
from tests.reference import learning_time

SEED = 20260304
UNITS = 60
OTHER_RUN = "course-v1:ExampleX+DATA101+2026_T2"
LOADED_AT = datetime(2026, 6, 1, tzinfo=UTC)
SHIFT = 98_765_432_101
BASE, SHUFFLED, INSIDE, ADDED, LATER, SHIFTED, RENAMED, NOISY, ELSEWHERE = range(9)


@dataclass(frozen=True)
class Case:
    """A unit and its variants, by number. ``INSIDE`` needs a counted gap of 2 microseconds."""

    variants: Mapping[int, Unit]

    @property
    def times(self) -> tuple[int, ...]:
        return self.variants[BASE].times


@dataclass(frozen=True)
class World:
    cases: list[Case]
    models: Models
    lines: dict[str, int]
    """Number of loaded lines, by the reason they must be counted under."""

    def of(self, case: Case, variant: int) -> Mapping[date, Day]:
        return self.days[case.variants[variant].key]

    @property
    def units(self) -> list[Unit]:
        return [one for case in self.cases for one in case.variants.values()]

    days: dict[tuple[int, str], dict[date, Day]]


def make_cases(rng: random.Random) -> Iterator[Case]:
    for number in range(UNITS):
        gaps = rng.choices(GAPS, k=rng.randrange(9))
        base = unit(10 * number + 10, rng.choice(STARTS), gaps)
        variants = {BASE: base}
        for variant in (SHUFFLED, RENAMED, NOISY):
            variants[variant] = base.renamed(base.user_id + variant)
        inside = [
            before + rng.randrange(1, gap)
            for before, gap in zip(base.times, gaps_of(base.times), strict=False)
            if 1 < gap <= TIMEOUT
        ]
        if inside:
            more = rng.choice(inside)
            variants[INSIDE] = base.renamed(base.user_id + INSIDE, *base.times, more)
        anywhere = rng.choice(base.times) + rng.choice(GAPS) * rng.choice((-1, 1)) + 7
        variants[ADDED] = base.renamed(base.user_id + ADDED, *base.times, anywhere)
        variants[LATER] = base.shifted(base.user_id + LATER, 7 * DAY)
        variants[SHIFTED] = base.shifted(base.user_id + SHIFTED, SHIFT)
        variants[ELSEWHERE] = Unit(base.user_id + NOISY, (0, TIMEOUT), OTHER_RUN)
        yield Case(variants)


def lines_of(case: Case, rng: random.Random, counts: dict[str, int]) -> Iterator[str]:
    """All lines of a case; adds the expected reasons to ``counts``."""
    for variant, one in case.variants.items():
        lines = one.lines()
        counts["learning"] += len(lines)
        if variant == SHUFFLED:
            copies = rng.choices(lines, k=3)
            counts["duplicate"] += len(copies)
            lines += copies[:1] + [
                f"Mar  4 09:00:00 lms-1 [x] INFO - {copy}" for copy in copies[1:]
            ]
        if variant == RENAMED:
            changed = (one.lines(username=f"name_{number}") for number in range(len(lines)))
            lines = [all_lines[number] for number, all_lines in enumerate(changed)]
        if variant == NOISY:
            noise = {
                "event_excluded": line(
                    one.user_id, at(TIMEOUT // 2).isoformat(), "edx.course.enrollment.activated"
                ),
                "bot": line(one.user_id, at(1).isoformat(), agent="ExampleBot/1.0"),
                "studio": line(one.user_id, at(2).isoformat(), host="studio.example.com"),
                "page_request": line(one.user_id, at(3).isoformat(), "/courses/x/progress"),
                # Truncated: the only complete object in it is its payload, which is no event.
                "line_not_an_event": lines[0][:-9],
                "time_unusable": line(one.user_id, "yesterday"),
                "time_in_future": line(one.user_id, "2026-06-01T01:00:00.000001Z"),
            }
            for reason in noise:
                counts[reason] = counts.get(reason, 0) + 1
            lines += noise.values()
        yield from lines


@pytest.fixture(scope="module")
def world(models: Models) -> World:
    """Built once, from one file with all lines shuffled."""
    rng = random.Random(SEED)
    cases = list(make_cases(rng))
    counts = {"learning": 0, "duplicate": 0}
    lines = [one for case in cases for one in lines_of(case, rng, counts)]
    rng.shuffle(lines)
    enroll(models.warehouse, (case.variants[BASE].user_id for case in cases))
    models.forget()
    models.load(Batch("tracking.log", LOADED_AT, tuple(lines)))
    models.run(with_mart=True)
    models.invoke("run", "--select", "tracking_line_counts")
    return World(cases, models, counts, models.days())


def test_every_unit_and_day_equals_the_reference(world: World) -> None:
    expected = {
        one.key: {
            day: (found.microseconds, found.event_count, found.session_count)
            for (_, _, day), found in learning_time.days(one.events()).items()
        }
        for one in world.units
    }
    assert len(expected) > 400
    assert world.days == expected


def test_order_and_copies_do_not_matter(world: World) -> None:
    for case in world.cases:
        assert world.of(case, SHUFFLED) == world.of(case, BASE)


def test_an_event_inside_a_counted_gap_leaves_the_total(world: World) -> None:
    with_one_more = [case for case in world.cases if INSIDE in case.variants]
    assert len(with_one_more) > UNITS / 2
    for case in with_one_more:
        assert total(world.of(case, INSIDE)) == total(world.of(case, BASE))
        assert events(world.of(case, INSIDE)) == events(world.of(case, BASE)) + 1


def test_one_more_event_never_lowers_a_total_or_a_day(world: World) -> None:
    raised = 0
    for case in world.cases:
        more, base = world.of(case, ADDED), world.of(case, BASE)
        assert all(more[day][0] >= microseconds for day, (microseconds, _, _) in base.items())
        raised += total(more) > total(base)
    assert raised > UNITS / 10, "some of them must join or lengthen sessions"


def test_a_total_lies_between_nothing_and_first_to_last_event(world: World) -> None:
    for one in world.units:
        assert 0 <= total(world.days[one.key]) <= one.times[-1] - one.times[0]


def test_a_total_is_the_sum_of_its_sessions(world: World) -> None:
    for one in world.units:
        expected = model_sessions(one.times)
        assert total(world.days[one.key]) == sum(last - first for first, last in expected)
        assert sessions(world.days[one.key]) == len(expected)
        assert len(expected) == 1 + sum(gap > TIMEOUT for gap in gaps_of(one.times))


def test_days_add_up_to_the_total_and_are_rounded_once(world: World) -> None:
    rounded: dict[tuple[int, str], list[int]] = {}
    for row in world.models.warehouse.rows(
        "select user_id, courserun_key, learning_time_seconds as seconds, "
        "learning_time_microseconds as microseconds "
        "from analytics.intermediate.int_learning_time_daily"
    ):
        seconds = int(row["seconds"])
        assert seconds == (int(row["microseconds"]) + SECOND // 2) // SECOND
        rounded.setdefault((int(row["user_id"]), row["courserun_key"]), []).append(seconds)
    for one in world.units:
        exact = model_total(one.times)
        assert total(world.days[one.key]) == exact
        assert abs(sum(rounded[one.key]) * SECOND - exact) <= len(rounded[one.key]) * SECOND // 2


def test_a_mart_row_is_one_day_of_1_to_86400_seconds(world: World) -> None:
    rows = world.models.mart()
    keys = {(one["user_id"], one["courserun_key"], one["date"]) for one in rows}
    assert len(rows) == len(keys) > UNITS / 2
    assert all(1 <= one["learning_time_seconds"] <= 86_400 for one in rows)
    assert {one["user_id"] for one in rows} <= {
        case.variants[BASE].user_id for case in world.cases
    }, "only the learners with an enrollment"


def test_whole_days_shift_dates_only_and_any_shift_keeps_the_total(world: World) -> None:
    for case in world.cases:
        base = world.of(case, BASE)
        week = timedelta(days=7)
        assert world.of(case, LATER) == {day + week: value for day, value in base.items()}
        assert total(world.of(case, SHIFTED)) == total(base)
        assert sessions(world.of(case, SHIFTED)) == sessions(base)


def test_other_lines_of_the_learner_change_nothing(world: World) -> None:
    """Excluded events, robots, authoring, broken lines, and another run of the same course."""
    for case in world.cases:
        assert world.of(case, NOISY) == world.of(case, BASE)


def test_names_of_learners_change_nothing(world: World) -> None:
    for case in world.cases:
        assert world.of(case, RENAMED) == world.of(case, BASE)


def test_every_line_is_counted_once_under_its_reason(world: World) -> None:
    rows = world.models.warehouse.rows(
        "select reason, sum(line_count) as n from analytics.marts.tracking_line_counts "
        "group by reason"
    )
    assert {row["reason"]: int(row["n"]) for row in rows} == world.lines


def test_a_longer_timeout_never_lowers_a_total(world: World) -> None:
    """And each total is the expected one for its timeout."""
    before = {one.key: 0 for one in world.units}
    for seconds in (60, 1_799, 1_800, 10_800):
        days = world.days
        if seconds != 1_800:
            world.models.run("--full-refresh", session_timeout_seconds=seconds)
            days = world.models.days()
        found = {key: total(of_unit) for key, of_unit in days.items()}
        assert found == {one.key: model_total(one.times, seconds * SECOND) for one in world.units}
        assert all(found[key] >= lower for key, lower in before.items())
        before = found


def test_a_capped_gap_counts_one_timeout(world: World) -> None:
    world.models.run("--full-refresh", long_gap_rule="cap")
    capped = {key: total(days) for key, days in world.models.days().items()}
    for one in world.units:
        assert capped[one.key] == sum(min(gap, TIMEOUT) for gap in gaps_of(one.times))


def test_another_timezone_moves_dates_and_keeps_durations(world: World) -> None:
    """New York puts its clocks forward on 8 March 2026, in the middle of these events."""
    world.models.run("--full-refresh", timezone="America/New_York")
    moved = 0
    for key, days in world.models.days().items():
        assert total(days) == total(world.days[key])
        assert sessions(days) == sessions(world.days[key])
        moved += days.keys() != world.days[key].keys()
    assert moved > UNITS
