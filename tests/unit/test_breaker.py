"""The breaker's rules, and its invariants over any history."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.circuit_breaker import (
    CLOSE_AFTER,
    DISABLE_AFTER,
    FIRST_OPEN,
    LONGEST_OPEN,
    SLOWEST,
    TRIP_IN_A_ROW,
    WINDOW,
    Breaker,
    EndpointState,
    Seen,
    after_batch,
)

NOW = datetime(2026, 3, 10, 12, 0)
FRESH = EndpointState(endpoint_id=1)


def failures(count: int, *, of: int | None = None) -> Seen:
    """A batch whose last ``count`` attempts failed."""
    return Seen(
        attempts=of or count,
        failures=count,
        trailing_failures=count,
        first_trailing_failure_at=NOW if count else None,
    )


def successes(count: int) -> Seen:
    return failures(0, of=count)


def opened() -> EndpointState:
    return after_batch(FRESH, failures(TRIP_IN_A_ROW), NOW)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        pytest.param(failures(TRIP_IN_A_ROW - 1), Breaker.CLOSED, id="one short of the row"),
        pytest.param(failures(TRIP_IN_A_ROW), Breaker.OPEN, id="the row"),
        pytest.param(
            Seen(attempts=10, failures=5, trailing_failures=0), Breaker.OPEN, id="half of ten"
        ),
        pytest.param(
            Seen(attempts=9, failures=5, trailing_failures=0), Breaker.CLOSED, id="too few to tell"
        ),
        pytest.param(
            Seen(attempts=11, failures=5, trailing_failures=0), Breaker.CLOSED, id="less than half"
        ),
    ],
)
def test_it_opens_on_a_row_of_failures_or_a_bad_share(seen: Seen, state: Breaker) -> None:
    assert after_batch(FRESH, seen, NOW).breaker_state is state


def test_failures_add_up_over_batches_and_a_success_ends_the_row() -> None:
    state = after_batch(FRESH, failures(TRIP_IN_A_ROW - 1), NOW)
    assert after_batch(state, failures(1), NOW).breaker_state is Breaker.OPEN
    state = after_batch(state, successes(9), NOW)
    assert state.consecutive_failures == 0
    assert after_batch(state, failures(1), NOW).breaker_state is Breaker.CLOSED


def test_an_old_window_does_not_count() -> None:
    state = after_batch(FRESH, Seen(attempts=6, failures=4, trailing_failures=1), NOW)
    mixed = Seen(attempts=6, failures=4, trailing_failures=0)
    assert after_batch(state, mixed, NOW + WINDOW / 2).breaker_state is Breaker.OPEN
    assert after_batch(state, mixed, NOW + WINDOW).breaker_state is Breaker.CLOSED


def test_an_open_breaker_rests_and_each_failed_probe_doubles_the_rest() -> None:
    state = opened()
    assert state.is_blocked_at(NOW + FIRST_OPEN - timedelta(seconds=1))
    assert not state.is_blocked_at(NOW + FIRST_OPEN)
    later = NOW + FIRST_OPEN
    state = after_batch(state, failures(1), later)
    assert state.next_probe_at == later + 2 * FIRST_OPEN
    for _ in range(20):
        state = after_batch(state, failures(1), later)
    assert state.next_probe_at == later + LONGEST_OPEN


def test_a_good_probe_half_opens_and_a_few_more_successes_close() -> None:
    state = after_batch(opened(), successes(1), NOW)
    assert state.breaker_state is Breaker.HALF_OPEN
    state = after_batch(state, successes(CLOSE_AFTER - 1), NOW)
    assert state.breaker_state is Breaker.CLOSED
    assert state.open_count == 0


def test_one_failure_in_half_open_opens_again() -> None:
    state = after_batch(opened(), successes(1), NOW)
    assert after_batch(state, failures(1, of=2), NOW).breaker_state is Breaker.OPEN


def test_failing_since_stands_through_failures_and_ends_with_a_success() -> None:
    first = after_batch(FRESH, failures(1), NOW)
    assert first.failing_since == NOW
    later = replace(failures(2), first_trailing_failure_at=NOW + timedelta(hours=1))
    assert after_batch(first, later, NOW).failing_since == NOW
    assert after_batch(first, successes(1), NOW).failing_since is None
    recovered = replace(later, attempts=3)
    assert after_batch(first, recovered, NOW).failing_since == NOW + timedelta(hours=1)


def test_an_overloaded_endpoint_is_slowed_to_a_floor_and_recovers() -> None:
    state = FRESH
    overloaded = replace(failures(1, of=9), is_overloaded=True)
    for _ in range(10):
        state = after_batch(state, overloaded, NOW)
    assert state.rate_factor == SLOWEST
    for _ in range(4):
        assert state.rate_factor < 1
        state = after_batch(state, successes(1), NOW)
    assert state.rate_factor == 1


def test_a_disabled_endpoint_gets_nothing_whatever_it_responds() -> None:
    state = after_batch(FRESH, replace(failures(1), disabled_reason="endpoint_gone"), NOW)
    assert state.disabled_at == NOW
    state = after_batch(state, successes(9), NOW)
    assert state.is_blocked_at(NOW + timedelta(days=365))
    assert state.disabled_reason == "endpoint_gone"


def test_a_pause_ends_by_itself_and_the_longest_counts() -> None:
    hour = replace(failures(1), paused_until=NOW + timedelta(hours=1))
    minute = replace(failures(1), paused_until=NOW + timedelta(minutes=1))
    state = after_batch(after_batch(FRESH, hour, NOW), minute, NOW)
    assert state.is_blocked_at(NOW + timedelta(minutes=59))
    assert not state.is_blocked_at(NOW + timedelta(hours=1))


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 600))))
def test_no_history_makes_an_endpoint_rest_for_ever(history: list[tuple[int, int, int]]) -> None:
    state, now = FRESH, NOW
    for attempts, failed, seconds in history:
        now += timedelta(seconds=seconds)
        seen = failures(min(failed, attempts), of=attempts)
        state = after_batch(state, seen, now)
        assert (state.breaker_state is Breaker.OPEN) == (state.next_probe_at is not None)
        assert not state.is_blocked_at(now + LONGEST_OPEN)
        assert SLOWEST <= state.rate_factor <= 1


@pytest.mark.parametrize(
    ("changes", "span", "reason"),
    [
        pytest.param({}, DISABLE_AFTER, "failing_for_5_days", id="long enough"),
        pytest.param({}, DISABLE_AFTER - timedelta(seconds=1), None, id="a second short"),
        pytest.param({"consecutive_failures": 1}, DISABLE_AFTER, None, id="two quiet failures"),
    ],
)
def test_five_days_of_nothing_but_failures_switch_an_endpoint_off(
    changes: dict[str, int], span: timedelta, reason: str | None
) -> None:
    state = after_batch(replace(opened(), **changes), failures(1), NOW + span)
    assert state.disabled_reason == reason
    assert (state.disabled_at is None) == (reason is None)


def test_one_success_in_five_days_keeps_it_on() -> None:
    state = after_batch(opened(), successes(1), NOW + timedelta(days=2))
    failed = replace(failures(9), first_trailing_failure_at=NOW + timedelta(days=3))
    state = after_batch(state, failed, NOW + timedelta(days=3))
    assert after_batch(state, failures(9), NOW + DISABLE_AFTER).disabled_at is None
