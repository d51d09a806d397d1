"""An endpoint's limit per minute holds, whoever sends and however requests are delayed."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.circuit_breaker import Breaker, EndpointState
from sync.domain.pacing import HALF_OPEN_SLOTS, HORIZON, MINUTE, Pace, grant, spacing_of

NOW = datetime(2026, 3, 10, 12, 0)
FRESH = EndpointState(endpoint_id=1)
LATER = NOW + timedelta(minutes=10)


def take(state: EndpointState, *, limit: int, wanted: int, now: datetime = NOW):
    return grant(state, requests_per_minute=limit, wanted=wanted, now=now, probe_until=now + MINUTE)


def most_in_a_minute(times: list[datetime]) -> int:
    ordered = sorted(times)
    return max(
        (bisect_left(ordered, first + MINUTE) - n for n, first in enumerate(ordered)), default=0
    )


def send_all(pace: Pace, count: int, now: datetime, held_up: list[timedelta]) -> list[datetime]:
    """Start ``count`` requests as soon as the pace allows, each after some delay."""
    times = []
    for number in range(count):
        now += held_up[number % len(held_up)] if held_up else timedelta(0)
        now += pace.wait(now)
        pace.take(now)
        times.append(now)
    return times


@given(
    limit=st.integers(1, 1000),
    wanted=st.lists(st.integers(1, 300), min_size=1, max_size=8),
    held_up=st.lists(st.timedeltas(timedelta(0), timedelta(seconds=20)), max_size=3),
)
def test_never_more_than_the_limit_in_any_minute(
    limit: int, wanted: list[int], held_up: list[timedelta]
) -> None:
    state, now, times = FRESH, NOW, []
    for count in wanted:
        granted, state = take(state, limit=limit, wanted=count, now=now)
        pace = Pace(granted.spacing, granted.first_at)
        sent = send_all(pace, granted.count, now, held_up)
        times += sent
        state = replace(state, next_slot_at=max(state.next_slot_at or now, pace.next_slot_at))
        now = max([now, *sent]) + timedelta(seconds=1)
    assert most_in_a_minute(times) <= limit


@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
def test_two_runs_at_once_share_one_limit(limit: int) -> None:
    first, state = take(FRESH, limit=limit, wanted=500)
    second, _ = take(state, limit=limit, wanted=500)
    assert second.first_at == first.first_at + first.count * first.spacing
    times = send_all(Pace(first.spacing, first.first_at), first.count, NOW, [])
    times += send_all(Pace(second.spacing, second.first_at), second.count, NOW, [])
    assert most_in_a_minute(times) <= limit


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_an_idle_endpoint_gets_at_least_one_at_once(limit: int) -> None:
    granted, _ = take(FRESH, limit=limit, wanted=9)
    assert granted.count >= 1
    assert granted.first_at <= NOW


def test_no_slot_lies_beyond_the_horizon() -> None:
    granted, _ = take(FRESH, limit=60, wanted=10_000)
    last = granted.first_at + (granted.count - 1) * granted.spacing
    assert last <= NOW + HORIZON < last + granted.spacing


def test_a_slowed_endpoint_gets_slots_further_apart() -> None:
    assert spacing_of(70, 1) == timedelta(seconds=1)
    assert spacing_of(70, 0.5) == timedelta(seconds=2)


def test_an_open_breaker_gets_one_probe_and_no_other_run_a_second() -> None:
    blocked = replace(FRESH, breaker_state=Breaker.OPEN, next_probe_at=NOW + timedelta(seconds=1))
    assert take(blocked, limit=100, wanted=9)[0].count == 0
    due = replace(blocked, next_probe_at=NOW)
    granted, state = take(due, limit=100, wanted=9)
    assert granted.count == 1
    assert take(state, limit=100, wanted=9)[0].count == 0


def test_a_half_open_breaker_gets_a_few() -> None:
    state = replace(FRESH, breaker_state=Breaker.HALF_OPEN)
    assert take(state, limit=100, wanted=9)[0].count == HALF_OPEN_SLOTS


def test_a_grant_of_none_changes_nothing() -> None:
    paused = replace(FRESH, paused_until=LATER)
    granted, state = take(paused, limit=100, wanted=9)
    assert granted.count == 0
    assert state == paused
