"""However lines arrive, the models end with the same rows as one full refresh over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from sync.warehouse import Warehouse
from tests.dbt.scenario import Batch, enroll, line, stand_models
from tests.learning_time.models import Models
from tests.learning_time.timelines import GAPS, SECOND, STARTS, Unit, at, unit
from tests.reference import learning_time
from tests.support.dbt import Dbt
from tests.support.examples import examples
from tests.support.scenarios import Scenarios

LEARNERS = range(1, 7)
LOADED_AT = datetime(2026, 4, 1, 6, tzinfo=UTC)
ONE_UNIT = tuple(unit(1, 0, GAPS).lines())


@dataclass(frozen=True)
class History:
    """Arrivals in order. Two arrivals of one file and load time are one batch that grew."""

    units: tuple[Unit, ...]
    arrivals: tuple[Batch, ...]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A few units, with some lines twice, split into arrivals regardless of time order."""
    units = tuple(
        unit(user_id, draw(st.sampled_from(STARTS)), gaps)
        for user_id in LEARNERS
        if (gaps := draw(st.lists(st.sampled_from(GAPS), max_size=8))) or user_id == 1
    )
    lines = [line for one in units for line in one.lines()]
    copies = draw(st.lists(st.sampled_from(lines), max_size=3))
    shuffled = draw(st.permutations(lines + copies))
    cuts = sorted(draw(st.lists(st.integers(1, len(shuffled)), max_size=3)))
    arrivals = []
    for start, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
        name = draw(st.sampled_from(("tracking.log", "tracking.log-2")))
        hours = draw(st.sampled_from((0, 0, 1, -47)))
        if end > start:
            loaded_at = LOADED_AT + timedelta(hours=hours)
            arrivals.append(Batch(name, loaded_at, tuple(shuffled[start:end])))
    return History(units, tuple(arrivals))


@pytest.fixture(scope="module")
def built(models: Models) -> Models:
    """Every learner may appear in the mart."""
    enroll(models.warehouse, LEARNERS)
    return models


BY_HAND = tuple(unit(one, STARTS[one], GAPS[one : one + 5]) for one in LEARNERS)
LINES = [line for one in BY_HAND for line in one.lines()]
SCATTERED = History(
    BY_HAND,
    (
        Batch("tracking.log", LOADED_AT, tuple(LINES[1::2])),
        # It grew, with a duplicate of its own line and one of another file's.
        Batch("tracking.log", LOADED_AT, (*LINES[::4], LINES[1])),
        Batch("tracking.log-2", LOADED_AT - timedelta(hours=47), (*LINES[2::4], LINES[0])),
    ),
)
"""Every second line, then the others: a batch that grew, and an older one after it."""


@settings(max_examples=examples(1, 300))
@example(history=SCATTERED)
@given(history=histories())
def test_any_split_in_any_order_with_copies_ends_in_the_full_refresh(
    built: Models, history: History
) -> None:
    """All columns of all models, except the time a row was computed."""
    built.forget()
    for number, arrival in enumerate(history.arrivals):
        note(f"{number}: {arrival.file_name} at {arrival.loaded_at}, {len(arrival.lines)} lines")
        built.load(arrival)
        built.run(with_mart=number + 1 == len(history.arrivals))
    incremental = built.contents()
    days = built.days()

    built.run("--full-refresh", with_mart=True)

    assert built.contents() == incremental
    assert days == {
        one.key: {
            day: (found.microseconds, found.event_count, found.session_count)
            for (_, _, day), found in learning_time.days(one.events()).items()
        }
        for one in history.units
    }


HOUR = 3_600 * SECOND
FAR_APART: dict[str, tuple[dict[str, object], list[tuple[int, str, str]]]] = {
    # The last event counts its tail until a later one makes it count a timeout.
    "cap": (
        {"long_gap_rule": "cap", "tail_seconds": 60},
        [(0, "play_video", "{}"), (72 * HOUR, "play_video", "{}"), (24 * HOUR, "page_close", "{}")],
    ),
    # Noon of the 23-hour day in New York, and soon after the midnight that ends it: one timeout
    # earlier is the previous day.
    "clocks": (
        {"session_timeout_seconds": 86_400, "timezone": "America/New_York"},
        [(112 * HOUR, "play_video", "{}"), (124 * HOUR + HOUR // 2, "page_close", "{}")],
    ),
    # Five hours of video past midnight, stopped a day later; then a line between shows that they
    # were not watched, and the day that only they reached becomes empty.
    "video": (
        {"long_video_option": True},
        [
            (-HOUR, "play_video", '{"id": "v", "currentTime": 0}'),
            (30 * HOUR, "pause_video", '{"id": "v", "currentTime": 18000}'),
            (-HOUR // 2, "page_close", "{}"),
        ],
    ),
}


@pytest.mark.parametrize("case", FAR_APART)
def test_events_that_matter_from_afar_end_in_the_full_refresh_too(built: Models, case: str) -> None:
    """They change days that lie beyond the ends of a timeout, or between them."""
    parameters, arrivals = FAR_APART[case]
    built.forget()
    seen = []
    for number, (time, name, payload) in enumerate(arrivals):
        one = line(1, at(time).isoformat(), name, event=payload)
        built.load(Batch(f"part-{number}", LOADED_AT + timedelta(hours=number), (one,)))
        built.run(with_mart=number + 1 == len(arrivals), **parameters)
        seen.append(built.days())
    incremental = built.contents()

    built.run("--full-refresh", with_mart=True, **parameters)

    assert built.contents() == incremental
    assert all(before != after for before, after in pairwise(seen))


@pytest.fixture
def one_unit(scenarios: Scenarios, dbt: Dbt, models: Models) -> Models:
    """One learner's lines, processed once."""

    def make(warehouse: Warehouse) -> None:
        stand_models(scenarios, dbt)
        enroll(warehouse, LEARNERS)
        made = Models(warehouse, dbt)
        made.load(Batch("tracking.log", LOADED_AT, ONE_UNIT))
        made.run(with_mart=True)

    scenarios.stand("one unit", make)
    return models


def test_a_second_run_over_the_same_lines_changes_nothing_at_all(one_unit: Models) -> None:
    """Not even a timestamp: nothing was recomputed."""
    before = one_unit.contents(with_stamps=True)
    assert all(before.values())

    one_unit.run()

    assert one_unit.contents(with_stamps=True) == before


def test_the_same_lines_in_another_file_change_no_number(one_unit: Models) -> None:
    """They are read and recognized as duplicates."""
    days, mart = one_unit.days(), one_unit.mart()

    one_unit.load(Batch("tracking.log-2", LOADED_AT + timedelta(hours=1), ONE_UNIT))
    one_unit.run(with_mart=True)

    assert one_unit.days() == days
    assert one_unit.mart() == mart
    read = one_unit.warehouse.rows(
        "select sum(line_count) as lines, count(*) as events "
        "from analytics.intermediate.int_learning_gaps"
    )
    assert read == [{"lines": 2 * len(ONE_UNIT), "events": len(ONE_UNIT)}]
