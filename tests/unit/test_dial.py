"""The cost dial: at most one wake a slot, and nothing waits longer than one."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.errors import ConfigurationError
from sync.operations.dial import (
    BUDGET_SETTING,
    LONGEST_MINUTES,
    SETTING,
    at_most_every_minutes,
    credits_a_month,
    is_build_due,
    monthly_credits,
    next_slot,
)

DIALS = st.integers(1, LONGEST_MINUTES)
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1))


@given(at=TIMES, dial=DIALS)
def test_the_next_slot_is_at_most_one_slot_away_and_is_one(at: datetime, dial: int) -> None:
    slot, length = next_slot(at, dial), timedelta(minutes=dial)
    assert at < slot <= at + length
    assert next_slot(slot, dial) == slot + length
    assert next_slot(slot - timedelta(microseconds=1), dial) == slot


@pytest.mark.parametrize(("dial", "minute"), [(5, 10), (10, 10), (15, 10), (30, 12), (60, 12)])
def test_short_slots_begin_with_a_build_and_long_ones_after_it(dial: int, minute: int) -> None:
    slots = {datetime(2026, 3, 10, 10, 0)}
    while max(slots) < datetime(2026, 3, 10, 12):
        slots.add(next_slot(max(slots), dial))
    assert datetime(2026, 3, 10, 11, minute) in slots


@pytest.mark.parametrize(("dial", "ticks"), [(1, [10, 40]), (30, [10, 40]), (31, [10]), (60, [10])])
def test_builds_are_hourly_above_half_an_hour(dial: int, ticks: list[int]) -> None:
    due = [one for one in (10, 40) if is_build_due(datetime(2026, 3, 10, 12, one), dial)]
    assert due == ticks


def test_the_quota_of_the_monitor_follows_the_dial() -> None:
    assert [monthly_credits(dial) for dial in (5, 15, 60)] == [224, 75, 19]
    assert monthly_credits(1) <= 31 * 24, "no more than a warehouse that never sleeps"


def test_the_dial_is_read_from_its_variable_and_refused_by_name() -> None:
    assert at_most_every_minutes({}) == 5
    assert at_most_every_minutes({SETTING: "60"}) == 60
    for text in ("0", "61", "-5", "5.0", "often"):
        with pytest.raises(ConfigurationError, match=SETTING):
            at_most_every_minutes({SETTING: text})


def test_the_budget_is_what_the_dial_allows_until_somebody_sets_one() -> None:
    assert credits_a_month({}) == 224
    assert credits_a_month({SETTING: "60"}) == 19
    assert credits_a_month({SETTING: "60", BUDGET_SETTING: "150"}) == 150
    for text in ("0", "-1", "1.5", "much"):
        with pytest.raises(ConfigurationError, match=BUDGET_SETTING):
            credits_a_month({BUDGET_SETTING: text})
